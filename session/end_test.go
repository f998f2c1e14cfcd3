package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

func TestEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.login("")
	mine := known.Client{Profile: "default", Issuer: s.p.Issuer(), ClientID: clientID}
	if _, err := known.Remember(s.cfg.StateDir, mine); err != nil {
		t.Fatal(err)
	}
	s.tenant.Fail("revoke", 503)
	o := session.EndOptions{PostLogoutRedirectURI: "http://localhost:3000", State: "x"}
	ended, err := s.process().End(t.Context(), o)
	if err != nil || ended.Revoked || !errors.Is(ended.RevokeError, provider.ErrUnreachable) ||
		!strings.Contains(ended.EndSessionURL, "id_token_hint=") ||
		strings.Contains(ended.EndSessionPlainURL, "id_token_hint") {
		t.Errorf("got %+v, %v", ended, err)
	}
	if _, err := s.get(session.Request{}); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("got %v", err)
	}
	if all, err := known.All(s.cfg.StateDir); err != nil || len(all) != 0 {
		t.Errorf("it is still remembered: %v, %v", all, err)
	}
	if ended, err = s.process().End(t.Context(), session.EndOptions{}); err != nil || ended.WasLoggedIn {
		t.Errorf("a second logout: %+v, %v", ended, err)
	}
	_ = tokens
	// What was looked at before a later login is not what that login brought: it stays.
	s.login("")
	before, err := s.process().Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.ahead.Add(int64(time.Minute))
	s.login("")
	only := func(i session.Info) bool { return i.LoggedInAt.Equal(before.LoggedInAt) }
	if ended, err := s.process().End(t.Context(), session.EndOptions{Only: only}); err != nil || ended.WasLoggedIn {
		t.Errorf("a logout of the login before: %+v, %v", ended, err)
	}
	if _, err := s.get(session.Request{}); err != nil {
		t.Errorf("the later login: %v", err)
	}
}
