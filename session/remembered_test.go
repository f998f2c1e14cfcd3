package session_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A provider that sends no ID token on renewal is asked for one once, until the next login.
func TestNoIDTokenOnRenewal(t *testing.T) {
	t.Parallel()
	var silent atomic.Bool
	s := newScene(t, tenant.Config{Rotate: true, OnTokenResponse: func(response map[string]any) {
		if silent.Load() {
			delete(response, "id_token")
		}
	}})
	for range 2 {
		silent.Store(false)
		first := s.login("").IDToken.Reveal()
		silent.Store(true)
		for range 3 {
			token, _, err := s.process().IDToken(t.Context(), 11*time.Hour, false) // it lives for ten
			if err != nil || token.Reveal() != first {
				t.Fatalf("got %v", err)
			}
		}
		s.requests(1)
		if _, _, err := s.process().IDToken(t.Context(), 0, true); err != nil {
			t.Errorf("by force: %v", err)
		}
		s.requests(1)
	}
	s.ahead.Store(int64(11 * time.Hour))
	for range 2 {
		if _, _, err := s.process().IDToken(t.Context(), 0, false); !errors.Is(err, session.ErrNoIDToken) {
			t.Errorf("got %v", err)
		}
	}
	s.requests(0)
	silent.Store(false)
	for range 2 {
		if _, _, err := s.process().IDToken(t.Context(), 0, true); err != nil {
			t.Errorf("it sends one again: %v", err)
		}
	}
	s.requests(2)
}

// A tool that asks for an access token with a scope of its own, without openid, gets no ID token along with it. That
// tells nothing about the next renewal.
func TestIDTokenAfterNarrowScope(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true, OnTokenResponse: func(response map[string]any) {
		if granted, _ := response["scope"].(string); granted == "profile" {
			delete(response, "id_token")
		}
	}})
	s.login("")
	if _, err := s.get(session.Request{Scope: "profile"}); err != nil {
		t.Fatal(err)
	}
	s.requests(1)
	s.ahead.Store(int64(11 * time.Hour)) // it lives for ten
	if _, _, err := s.process().IDToken(t.Context(), 0, false); err != nil {
		t.Errorf("got %v", err)
	}
	s.requests(1)
}

// An access token carries neither openid nor offline_access, and providers write scopes in ways of their own. None of
// that makes a token another one than the one that was asked for.
func TestScopesAreSets(t *testing.T) {
	t.Parallel()
	const google = "https://www.googleapis.com/auth/userinfo."
	for asked, granted := range map[string]any{
		"openid profile email offline_access":  "profile email openid",
		"profile offline_access":               "profile",
		"offline_access  profile profile":      []string{"profile"},
		"profile email":                        "email,profile",
		"openid email profile offline_access ": google + "profile openid " + google + "email",
		"User.Read offline_access":             "https://graph.microsoft.com/User.Read",
		"https://graph.microsoft.com/Mail":     "openid Mail",
		"api://app/.default offline_access":    "read write",
		"openid offline_access":                "openid",
	} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{Rotate: true, OnTokenResponse: func(response map[string]any) {
				response["scope"] = granted
			}, Intercept: dropScope})
			s.login("")
			first, err := s.get(session.Request{Scope: asked, Force: true})
			if err != nil {
				t.Fatal(err)
			}
			s.requests(1)
			for range 2 {
				token, err := s.get(session.Request{Scope: asked})
				if err != nil || token.Token.Reveal() != first.Token.Reveal() {
					t.Errorf("got %v", err)
				}
			}
			s.requests(0)
		})
	}
}

// dropScope makes the tenant grant what it granted at the login.
func dropScope(endpoint string, _ http.ResponseWriter, r *http.Request) bool {
	if endpoint == "token" && r.ParseForm() == nil {
		r.Form.Del("scope")
		r.PostForm.Del("scope")
	}
	return false
}

// The whole scope of the login is the scope of the token that the login brought.
func TestScopeOfTheLogin(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.login("")
	for _, scope := range []string{
		"openid profile email offline_access", "email profile", "profile,email offline_access",
	} {
		token, err := s.get(session.Request{Scope: scope})
		if err != nil || token.Token.Reveal() != tokens.AccessToken.Reveal() {
			t.Errorf("%s: got %v", scope, err)
		}
	}
	s.requests(0)
	token, err := s.get(session.Request{Scope: "email"})
	if err != nil || token.Token.Reveal() == tokens.AccessToken.Reveal() {
		t.Errorf("a narrower scope: got %v", err)
	}
	s.requests(1)
}

// A scope that was not granted is asked for once, until the next login. Force asks anew.
func TestUngrantedScope(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct {
		response  func(map[string]any)
		intercept func(string, http.ResponseWriter, *http.Request) bool
	}{
		"granted in part": {response: func(response map[string]any) { response["scope"] = "openid profile" }},
		"refused":         {intercept: refuse(`{"error":"invalid_scope"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			intercept := change.intercept
			if intercept == nil {
				intercept = dropScope
			}
			s := newScene(t, tenant.Config{Rotate: true, OnTokenResponse: change.response, Intercept: intercept})
			for range 2 {
				good := s.login("").AccessToken.Reveal()
				for i, scope := range []string{"openid admin", "admin openid", "admin"} {
					token, err := s.get(session.Request{Scope: scope})
					var e *session.ScopeError
					if !errors.Is(err, provider.ErrRefused) || !token.Token.IsZero() ||
						i > 0 && (!errors.As(err, &e) || !strings.Contains(e.Missing, "admin")) {
						t.Errorf("got %v", err)
					}
				}
				s.requests(1)
				token, err := s.get(session.Request{})
				if err != nil || change.response == nil && token.Token.Reveal() != good {
					t.Errorf("the login's token: %v", err)
				}
				s.requests(0)
				if _, err := s.get(session.Request{Scope: "admin", Force: true}); !errors.Is(err, provider.ErrRefused) {
					t.Errorf("by force: %v", err)
				}
				s.requests(1)
			}
		})
	}
}

// What a newer version of loopkey stored is kept through renewals, and a token's own goes with the token.
func TestMembersOfANewerVersion(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Auth0: true})
	s.login(api)
	if _, err := s.get(session.Request{Audience: other}); err != nil {
		t.Fatal(err)
	}
	name := s.process().Name()
	record, err := s.store.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	put := func(raw []byte, old, more string) []byte {
		if strings.Count(string(raw), old) != 1 {
			t.Fatalf("%s is not there once", old)
		}
		return []byte(strings.Replace(string(raw), old, more+old, 1))
	}
	head := put(put(record.Head, `"issuer":`, `"far":{"a":[1,2.50]},`), `"token":`, `"near":"current",`)
	body := put(put(record.Body, `"sub":"ada","scope"`, `"further":12345678901234567890,`), `"token":`, `"near":"other",`)
	if err := s.store.Save(t.Context(), name, keystore.Record{Head: head, Body: body}); err != nil {
		t.Fatal(err)
	}
	holds := func(when string, want ...string) {
		t.Helper()
		record, err := s.store.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(record.Head) || !json.Valid(record.Body) {
			t.Fatalf("%s: no JSON", when)
		}
		all := string(record.Head) + string(record.Body)
		for _, member := range []string{
			`"far":{"a":[1,2.50]}`, `"further":12345678901234567890`, `"near":"current"`, `"near":"other"`,
		} {
			if got := strings.Count(all, member); got > 1 || got == 1 != slices.Contains(want, member) {
				t.Errorf("%s: %s is there %d times", when, member, got)
			}
		}
	}
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	holds("after a renewal", `"far":{"a":[1,2.50]}`, `"further":12345678901234567890`, `"near":"other"`)
	if _, err := s.get(session.Request{Audience: other, Force: true}); err != nil {
		t.Fatal(err)
	}
	holds("after another", `"far":{"a":[1,2.50]}`, `"further":12345678901234567890`)
	s.login(api)
	holds("after a login")
}

// A token whose provider gave no expiry is not handed out for ever, even where no other can be had.
func TestUnknownExpiry(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{OpaqueAccessTokens: true, OnTokenResponse: func(response map[string]any) {
		delete(response, "expires_in")
	}})
	s.login("")
	s.tenant.Fail("token", http.StatusServiceUnavailable)
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{time.Hour, nil}, {23 * time.Hour, nil}, {25 * time.Hour, provider.ErrUnreachable}} {
		s.ahead.Store(int64(c.after))
		if _, err := s.get(session.Request{}); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("after %v: %v", c.after, err)
		}
	}
}
