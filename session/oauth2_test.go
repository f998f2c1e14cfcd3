package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/session"
)

func TestTokenSource(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	source := s.process().TokenSource(t.Context(), session.Request{})
	if _, err := source.Token(); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("before the login: %v", err)
	}
	login := s.login("")
	for range 2 {
		token, err := source.Token()
		if err != nil || token.AccessToken != login.AccessToken.Reveal() || !token.Expiry.Equal(login.Expiry) ||
			token.Type() != "Bearer" {
			t.Errorf("the token of the login: %v", err)
		}
	}
	s.requests(0)
	s.ahead.Store(int64(59*time.Minute + 30*time.Second)) // half a minute is not enough for a request
	token, err := source.Token()
	if err != nil || token.AccessToken == login.AccessToken.Reveal() {
		t.Errorf("a token that is about to expire was not renewed: %v", err)
	}
	s.requests(1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.process().TokenSource(ended, session.Request{Force: true}).Token(); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// A token without an expiry is not kept for ever by oauth2.ReuseTokenSource.
func TestTokenSourceWithoutExpiry(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{OpaqueAccessTokens: true, OnTokenResponse: func(response map[string]any) {
		delete(response, "expires_in")
	}})
	s.login("")
	token, err := s.process().TokenSource(t.Context(), session.Request{}).Token()
	if err != nil || token.Expiry.IsZero() || time.Until(token.Expiry) > 5*time.Minute {
		t.Errorf("until %v: %v", token.Expiry, err)
	}
}

// The token goes to the origin that the caller named, and to no other that redirects lead to.
func TestClient(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	want := "Bearer " + s.login("").AccessToken.Reveal()
	foreign := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another origin was sent %q", r.Header.Get("Authorization"))
	}))
	defer foreign.Close()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != want {
			t.Error("a request came without the token")
		}
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, foreign.URL, http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/circle":
			http.Redirect(w, r, "/circle", http.StatusFound)
		default:
			_, _ = fmt.Fprint(w, "hello")
		}
	}))
	defer api.Close()
	client := s.process().Client(t.Context(), session.Request{})
	for path, status := range map[string]int{
		"/": http.StatusOK, "/here": http.StatusOK, "/away": http.StatusFound, "/circle": 0,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			if status != 0 {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		defer resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: status %d, not %d", path, resp.StatusCode, status)
		}
	}
	s.requests(0)
}

// The client of package oauth2 uses the HTTP client in the context, as its users expect.
func TestClientInContext(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: offline{}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.process().Client(ctx, session.Request{}).Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Error("a request left another way")
	}
}
