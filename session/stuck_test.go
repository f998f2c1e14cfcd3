package session_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/session"
)

// stuck holds a lock of the scene's session until the test ends, as a process does that was stopped.
func (s *scene) stuck(extension string) {
	s.t.Helper()
	lock := flock.New(filepath.Join(s.cfg.StateDir, s.process().Name()+extension))
	if ok, err := lock.TryLock(); err != nil || !ok {
		s.t.Fatalf("%t, %v", ok, err)
	}
	s.t.Cleanup(func() { _ = lock.Close() })
}

// bubble runs f with the scene's clock in a bubble, where time passes at once. A bubble's time stands still while
// somebody waits for a pipe, so there is no bell: those who wait ask again and again.
func (s *scene) bubble(f func(t *testing.T)) {
	s.t.Helper()
	bell := filepath.Join(s.cfg.StateDir, s.process().Name()+".bell")
	if err := errors.Join(os.RemoveAll(bell), os.WriteFile(bell, nil, 0o600)); err != nil {
		s.t.Fatal(err)
	}
	now, began := s.cfg.Now, s.cfg.Now()
	defer func() { s.cfg.Now = now }()
	synctest.Test(s.t, func(t *testing.T) {
		start := time.Now()
		s.cfg.Now = func() time.Time { return began.Add(time.Since(start)) }
		f(t)
	})
}

// A process that holds the lock and does nothing keeps no caller from a token that still lives.
func TestStuckLockHolder(t *testing.T) {
	t.Parallel()
	for _, extension := range []string{".lock", ".work.lock"} {
		t.Run(extension, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{})
			tokens := s.login("")
			s.stuck(extension)
			s.bubble(func(t *testing.T) {
				began := s.cfg.Now()
				token, err := s.process().AccessToken(t.Context(), session.Request{MinLifetime: 2 * time.Hour})
				if took := s.cfg.Now().Sub(began); err != nil || took > 15*time.Second ||
					token.Token.Reveal() != tokens.AccessToken.Reveal() {
					t.Errorf("the access token: %v after %v", err, took)
				}
				began = s.cfg.Now()
				id, _, err := s.process().IDToken(t.Context(), 20*time.Hour, false)
				if took := s.cfg.Now().Sub(began); err != nil || took > 15*time.Second ||
					id.Reveal() != tokens.IDToken.Reveal() {
					t.Errorf("the ID token: %v after %v", err, took)
				}
				_, err = s.process().AccessToken(t.Context(), session.Request{Force: true})
				if !errors.Is(err, session.ErrLocked) {
					t.Errorf("by force: %v", err)
				}
			})
			s.requests(0)
		})
	}
}

// An unreachable provider keeps no caller from tokens that still live. Those that expired meanwhile are not handed out.
func TestLivingTokens(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{OnIDToken: func(claims map[string]any) {
		claims["exp"] = time.Now().Add(20 * time.Minute).Unix()
	}})
	tokens := s.login("")
	s.tenant.Fail("token", http.StatusServiceUnavailable)
	token, err := s.get(session.Request{MinLifetime: 2 * time.Hour})
	if err != nil || token.Token.Reveal() != tokens.AccessToken.Reveal() {
		t.Errorf("the access token: %v", err)
	}
	id, _, err := s.process().IDToken(t.Context(), time.Hour, false)
	if err != nil || id.Reveal() != tokens.IDToken.Reveal() {
		t.Errorf("the ID token: %v", err)
	}
	s.ahead.Store(int64(30 * time.Minute))
	if _, _, err := s.process().IDToken(t.Context(), time.Hour, false); err == nil {
		t.Error("an ID token that had expired")
	}
}

// A wait for a lock that ends leaves nothing behind, while the lock is still held: a server may wait often.
func TestWaitLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	s.stuck(".lock")
	// The bubble fails where a goroutine goes on.
	s.bubble(func(t *testing.T) {
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := s.process().AccessToken(ctx, session.Request{Force: true})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
	})
	if open := descriptors(t, s.cfg.StateDir); open > 1 {
		t.Errorf("%d descriptors are left, beside the one of the lock", open-1)
	}
}
