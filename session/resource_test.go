package session_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// newResourceScene is newScene for a session without an ID token, whose tokens are for api.
func newResourceScene(t *testing.T) *scene {
	t.Helper()
	s := newScene(t, tenant.Config{OAuth: true, Rotate: true})
	var err error
	s.p, err = provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: clientID, OAuth: true, Now: s.cfg.Now})
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Provider, s.cfg.Resource = s.p, api
	return s
}

// grant makes a login without OpenID Connect.
func (s *scene) grant(resource string) *provider.Tokens {
	s.t.Helper()
	return s.granted("read offline_access", "", resource)
}

// A session without an ID token is stored, renewed once for many, and ended like any other.
func TestResourceSession(t *testing.T) {
	t.Parallel()
	s := newResourceScene(t)
	if err := s.process().Begin(t.Context(), s.grant(api)); err != nil {
		t.Fatal(err)
	}
	info, err := s.process().Info(t.Context())
	if err != nil || info.Resource != api || info.Subject != "" || !info.Renewable ||
		info.AccessTokens[0].Audience != api {
		t.Errorf("got %+v, %v", info, err)
	}
	first, err := s.get(session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	s.ahead.Store(int64(2 * time.Hour))
	s.tenant.Reset()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() == first.Token.Reveal() {
				t.Errorf("got %v, %v", token.Expiry, err)
			}
		})
	}
	all.Wait()
	s.requests(1)
	if _, _, err := s.process().IDToken(t.Context(), 0, false); !errors.Is(err, session.ErrNoIDToken) {
		t.Errorf("an ID token: %v", err)
	}
	ended, err := s.process().End(t.Context(), session.EndOptions{})
	if err != nil || !ended.Revoked || ended.EndSessionURL != "" {
		t.Errorf("got %+v, %v", ended, err)
	}
	_, err = s.get(session.Request{})
	if !errors.Is(err, session.ErrNotLoggedIn) || !strings.HasPrefix(err.Error(), api) {
		t.Errorf("after the logout: %v", err)
	}
}

// The issuer, the client and the resource bind a session without an ID token: one of another resource, or of a subject,
// is neither stored nor read.
func TestResourceBindsSession(t *testing.T) {
	t.Parallel()
	s := newResourceScene(t)
	if err := s.process().Begin(t.Context(), s.grant(other)); err == nil {
		t.Error("the login for another resource is stored")
	}
	if err := s.process().Begin(t.Context(), s.grant(api)); err != nil {
		t.Fatal(err)
	}
	mine := s.process().Name()
	record, err := s.store.Load(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.Resource = other
	if s.process().Name() == mine {
		t.Error("two resources share a name")
	}
	if err := s.store.Save(t.Context(), s.process().Name(), record); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(session.Request{}); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("another resource's session: %v", err)
	}
	s.cfg.Resource = ""
	if err := s.process().Begin(t.Context(), s.grant(api)); err == nil {
		t.Error("a login without a subject is stored as one with an ID token")
	}
	if err := s.store.Save(t.Context(), s.process().Name(), record); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(session.Request{}); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("a session without a subject: %v", err)
	}
}
