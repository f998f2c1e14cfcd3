package provider

import (
	"errors"
	"net/url"
	"testing"
)

func TestAuthorizationURL(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set("authorization_endpoint", f.URL+"/authorize?tenant=a&client_id=mallory")
	request := AuthorizationRequest{
		RedirectURI: "http://localhost:3000/auth/callback", State: "s", Nonce: "n", CodeChallenge: "ch",
		Scope: "openid", Audience: "https://api",
		Extra: url.Values{
			"state": {"mallory"}, "redirect_uri": {"https://mallory.example.com"}, "response_type": {"token"},
			"prompt": {"login"},
		},
	}
	want := url.Values{
		"tenant": {"a"}, "client_id": {fakeClient}, "response_type": {"code"},
		"redirect_uri": {request.RedirectURI}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {
			"ch"}, "code_challenge_method": {"S256"}, "scope": {"openid"}, "resource": {"https://api"}, "prompt": {"login"},
	}
	raw, err := f.client(t).AuthorizationURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got := must(url.Parse(raw)).Query(); got.Encode() != want.Encode() {
		t.Errorf("got  %s\nwant %s", got.Encode(), want.Encode())
	}
	raw, err = f.client(t, func(c *Config) { c.Auth0 = true }).AuthorizationURL(t.Context(), request)
	if q := must(url.Parse(raw)).Query(); err != nil || q.Get("audience") != "https://api" || q.Has("resource") {
		t.Errorf("Auth0 is asked %s: %v", raw, err)
	}
	// When the request is pushed, the browser carries a reference to it and nothing of the request itself.
	f.set("require_pushed_authorization_requests", true)
	f.set("pushed_authorization_request_endpoint", f.URL+"/par")
	f.on("/par", 201, map[string]any{"request_uri": "urn:1", "expires_in": 60})
	raw, err = f.client(t).AuthorizationURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	const pushed = "client_id=the+client&request_uri=urn%3A1&tenant=a"
	if got := must(url.Parse(raw)).Query().Encode(); got != pushed {
		t.Errorf("got %s, want %s", got, pushed)
	}
	f.on("/par", 201, map[string]any{})
	if _, err = f.client(t).AuthorizationURL(t.Context(), request); !errors.Is(err, ErrMalformed) {
		t.Errorf("no request_uri: %v", err)
	}
}
