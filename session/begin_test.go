package session_test

import (
	"errors"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

func TestRevokesWhatItReplaces(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	old := s.login("")
	mine := s.process()
	replaced, err := mine.Replace(t.Context(), s.tokens(""), func(string) bool { return true })
	if err != nil || replaced.Reveal() != old.RefreshToken.Reveal() {
		t.Fatalf("got %v", err)
	}
	if again, err := mine.Retire(t.Context(), replaced); err != nil || again {
		t.Fatalf("got %v, %v", again, err)
	}
	_, err = s.p.Refresh(t.Context(), provider.RefreshRequest{RefreshToken: old.RefreshToken, Subject: "ada"})
	if !errors.Is(err, provider.ErrInvalidGrant) {
		t.Errorf("the old refresh token: %v", err)
	}
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Errorf("the new session: %v", err)
	}
}
