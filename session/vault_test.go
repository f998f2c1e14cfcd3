package session_test

import (
	"context"
	"errors"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A request that is no renewal uses the refresh token in the session's turn. What takes its place is stored, even
// beside an error, and no refusal ends the session.
func TestUseRefreshToken(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Auth0: true, Rotate: true, Vault: map[string]string{"google-oauth2": "theirs"}})
	use := func(connection string) (*provider.Issued, error) {
		var issued *provider.Issued
		err := s.process().UseRefreshToken(t.Context(), func(
			ctx context.Context, refresh provider.Secret,
		) (renewed *provider.Tokens, err error) {
			issued, renewed, err = s.p.ConnectionToken(ctx, refresh, connection)
			return renewed, err
		})
		return issued, err
	}
	if _, err := use("google-oauth2"); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("nobody is logged in: %v", err)
	}
	var notices []error
	s.cfg.Notice = func(err error) { notices = append(notices, err) }
	s.login(api)
	for range 2 {
		if issued, err := use("google-oauth2"); err != nil || issued.Token.Reveal() != "theirs" {
			t.Fatalf("%v", err)
		}
	}
	if _, err := use("none"); !errors.Is(err, provider.ErrRefused) {
		t.Errorf("no such connection: %v", err)
	}
	failed := errors.New("what came was not believed")
	err := s.process().UseRefreshToken(t.Context(), func(
		ctx context.Context, refresh provider.Secret,
	) (*provider.Tokens, error) {
		_, renewed, err := s.p.ConnectionToken(ctx, refresh, "google-oauth2")
		if err != nil {
			t.Error(err)
		}
		return renewed, failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("beside an error: %v", err)
	}
	if _, err := s.process().AccessToken(t.Context(), session.Request{Force: true}); err != nil {
		t.Errorf("the session is of no more use: %v", err)
	}
	if got := s.tenant.ReusedFamilies(); got != 0 || len(notices) > 0 {
		t.Errorf("%d refresh tokens were used twice; notices: %v", got, notices)
	}
}

// Where the response is lost, the next renewal says that the refresh token may be used up.
func TestUseRefreshTokenLost(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Auth0: true, Vault: map[string]string{"google-oauth2": "theirs"}})
	var lost bool
	s.cfg.Notice = func(err error) { lost = lost || errors.Is(err, session.ErrReplyLost) }
	s.login(api)
	s.tenant.Fail("token", 500)
	err := s.process().UseRefreshToken(t.Context(), func(
		ctx context.Context, refresh provider.Secret,
	) (renewed *provider.Tokens, err error) {
		_, renewed, err = s.p.ConnectionToken(ctx, refresh, "google-oauth2")
		return renewed, err
	})
	s.tenant.Fail("token", 0)
	if !errors.Is(err, provider.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	if _, err := s.process().AccessToken(t.Context(), session.Request{Force: true}); err != nil || !lost {
		t.Errorf("lost: %v, %v", lost, err)
	}
}
