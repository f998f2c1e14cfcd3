package session_test

import (
	"errors"
	"strings"
	"testing"

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
}
