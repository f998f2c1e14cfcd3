package session_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A hundred reports of one refused token lead to one renewal, and a report of any other secret to none.
func TestRefusedByServer(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	first := s.login("").AccessToken
	report := func(token provider.Secret) {
		if err := s.process().Refuse(t.Context(), session.Refusal{Token: token}); err != nil {
			t.Error(err)
		}
	}
	for _, secret := range []string{"not-ours", s.stored().RefreshToken} {
		report(provider.NewSecret(secret))
		if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() != first.Reveal() {
			t.Fatalf("another secret was reported, and the token changed: %v", err)
		}
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			report(first)
			if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() == first.Reveal() {
				t.Errorf("the refused token was handed out again, or none: %v", err)
			}
		})
	}
	all.Wait()
	s.requests(1)
}

// A server that does not say which token it refused means the one that it may have got, not its successor.
func TestRefusedUnnamed(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.login("")
	report := func() {
		if err := s.process().Refuse(t.Context(), session.Refusal{}); err != nil {
			t.Error(err)
		}
		if _, err := s.get(session.Request{}); err != nil {
			t.Error(err)
		}
	}
	report()
	s.requests(0)
	s.ahead.Store(int64(time.Minute))
	var all sync.WaitGroup
	for range 20 {
		all.Go(report)
	}
	all.Wait()
	s.requests(1)
}

// A refused ID token is renewed too.
func TestRefusedIDToken(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	refused := s.login("").IDToken
	s.ahead.Store(int64(time.Minute))
	for _, r := range []session.Refusal{{Token: refused}, {IDToken: true}} {
		if err := s.process().Refuse(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		id, _, err := s.process().IDToken(t.Context(), time.Minute, false)
		if err != nil || id.Reveal() == refused.Reveal() {
			t.Errorf("the refused token was handed out again, or none: %v", err)
		}
		s.requests(1)
		refused = id
		s.ahead.Add(int64(time.Minute))
	}
}

// No report ends the session: a token that can't be renewed now, or at all, is handed out as before.
func TestRefusedAndNoOther(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	first := s.login("").AccessToken
	if err := s.process().Refuse(t.Context(), session.Refusal{Token: first}); err != nil {
		t.Fatal(err)
	}
	s.tenant.Fail("token", http.StatusServiceUnavailable)
	if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() != first.Reveal() {
		t.Errorf("the provider can't be reached, and the token is gone: %v", err)
	}
	s.tenant.Fail("token", 0)
	s.tenant.RevokeAll("ada")
	if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() != first.Reveal() {
		t.Errorf("the session can't be renewed, and its living token is gone: %v", err)
	}
	if err := s.process().Refuse(t.Context(), session.Refusal{Token: first}); err != nil {
		t.Errorf("a second report: %v", err)
	}
	s.ahead.Store(int64(48 * time.Hour))
	if _, err := s.get(session.Request{}); !errors.Is(err, session.ErrRefreshRefused) {
		t.Errorf("%v is not %v", err, session.ErrRefreshRefused)
	}
}
