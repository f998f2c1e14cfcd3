package provider

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestEndSessionURL makes the URL of RP-initiated logout, and Auth0's own.
func TestEndSessionURL(t *testing.T) {
	t.Parallel()
	hint := NewSecret("hint")
	const us = "/logout?client_id=the+client"
	const back = "&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A3000&state=s"
	for name, c := range map[string]struct {
		endpoint string
		auth0    bool
		hint     Secret
		want     string
		err      error
	}{
		"as discovery says": {"/logout?x=1", false, hint, us + "&id_token_hint=hint" + back + "&x=1", nil},
		"huge hint":         {"/logout", false, NewSecret(strings.Repeat("h", 7000)), us + back, nil},
		"no hint":           {"/logout", true, Secret{}, us + back, nil},
		"hidden by Auth0":   {"", true, hint, "/v2/logout?client_id=the+client&returnTo=http%3A%2F%2Flocalhost%3A3000", nil},
		"none":              {"", false, hint, "", ErrNoEndpoint},
	} {
		f := newFake(t)
		if c.endpoint != "" {
			f.set("end_session_endpoint", f.URL+c.endpoint)
		}
		p := f.client(t, func(cfg *Config) { cfg.Auth0 = c.auth0 })
		got, err := p.EndSessionURL(t.Context(), c.hint, "http://localhost:3000", "s")
		if !errors.Is(err, c.err) || c.err == nil && (err != nil || got != f.URL+c.want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestRevoke revokes a refresh token where the provider has an endpoint for it.
func TestRevoke(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		endpoint string
		auth0    bool
		status   int
		want     error
		asked    string
	}{
		"as discovery says": {"/revoke", false, 200, nil, "/revoke"},
		"Auth0, not shown":  {"", true, 200, nil, "/oauth/revoke"},
		"none":              {"", false, 200, ErrNoEndpoint, ""},
		"refused":           {"/revoke", false, 400, ErrRefused, "/revoke"},
		"unreachable":       {"/revoke", false, 503, ErrUnreachable, "/revoke"},
	} {
		f := newFake(t)
		if c.endpoint != "" {
			f.set("revocation_endpoint", f.URL+c.endpoint)
		}
		if c.asked != "" {
			f.hook(c.asked, func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("token") != "r" || r.PostFormValue("token_type_hint") != "refresh_token" {
					t.Errorf("%s: %v", name, r.PostForm)
				}
				w.WriteHeader(c.status)
			})
		}
		err := f.client(t, func(cfg *Config) { cfg.Auth0 = c.auth0 }).Revoke(t.Context(), NewSecret("r"))
		if !errors.Is(err, c.want) || c.want == nil && err != nil || c.asked != "" && f.requests(c.asked) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
