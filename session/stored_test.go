package session_test

import (
	"errors"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/session"
)

// A stored token is handed out while it is good, and nothing is renewed for it afterwards.
func TestStoredToken(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	have := func(r session.Request) (access, id bool) {
		t.Helper()
		token, access, err := s.process().StoredToken(t.Context(), r)
		if err != nil || access == token.Token.IsZero() {
			t.Fatalf("a token: %t, %v", access, err)
		}
		secret, _, id, err := s.process().StoredIDToken(t.Context(), r.MinLifetime)
		if err != nil || id == secret.IsZero() {
			t.Fatalf("an ID token: %t, %v", id, err)
		}
		return access, id
	}
	if _, _, err := s.process().StoredToken(t.Context(), session.Request{}); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("nobody is logged in, and it says %v", err)
	}
	login := s.login("")
	if access, id := have(session.Request{MinLifetime: time.Minute}); !access || !id {
		t.Errorf("access token: %t, ID token: %t", access, id)
	}
	if access, _ := have(session.Request{Audience: "https://other.example.com/"}); access {
		t.Error("a token for an audience that the login brought none for")
	}
	if access, id := have(session.Request{MinLifetime: 24 * time.Hour}); access || id {
		t.Errorf("tokens that end too soon: access token: %t, ID token: %t", access, id)
	}
	for _, refusal := range []session.Refusal{{Token: login.AccessToken}, {Token: login.IDToken}} {
		if err := s.process().Refuse(t.Context(), refusal); err != nil {
			t.Fatal(err)
		}
	}
	if access, id := have(session.Request{}); access || id {
		t.Errorf("refused tokens: access token: %t, ID token: %t", access, id)
	}
	s.requests(0)
}
