package session_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/session"
)

// A session that has reached a limit of its own hands out no token, is revoked, and is gone.
func TestLimits(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	for name, c := range map[string]struct {
		limits session.Limits
		used   []time.Duration // when tokens are asked for and had
		ended  time.Duration   // when the limit is reached
		want   error
	}{
		"age": {
			session.Limits{MaxAge: time.Hour}, []time.Duration{minute, 59 * minute}, time.Hour, session.ErrTooOld,
		},
		"idle": {
			session.Limits{Idle: 10 * minute}, []time.Duration{8 * minute, 16 * minute}, 27 * minute, session.ErrIdle,
		},
		"never used": {session.Limits{Idle: 10 * minute}, nil, 10 * minute, session.ErrIdle},
		"age, in use": {
			session.Limits{MaxAge: 20 * minute, Idle: 10 * minute}, []time.Duration{9 * minute, 18 * minute}, 20 * minute,
			session.ErrTooOld,
		},
		"idle, of two": {
			session.Limits{MaxAge: time.Hour, Idle: 10 * minute}, []time.Duration{5 * minute}, 15 * minute, session.ErrIdle,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{})
			s.cfg.Limits = c.limits
			s.login(api)
			s.cfg.Limits = session.Limits{} // they are the session's, whoever opens it
			for _, at := range c.used {
				s.ahead.Store(int64(at))
				if _, err := s.process().AccessToken(t.Context(), session.Request{}); err != nil {
					t.Fatalf("at %v: %v", at, err)
				}
			}
			s.ahead.Store(int64(c.ended + time.Second))
			before, err := s.process().Info(t.Context())
			if err != nil || !errors.Is(before.Unusable, c.want) || before.Renewable {
				t.Errorf("Info: %v, renewable %v, %v", before.Unusable, before.Renewable, err)
			}
			s.tenant.Reset()
			if _, _, err := s.process().StoredToken(t.Context(), session.Request{}); !errors.Is(err, c.want) {
				t.Errorf("StoredToken: %v", err)
			}
			_, err = s.process().AccessToken(t.Context(), session.Request{})
			if !errors.Is(err, c.want) || !errors.Is(err, session.ErrCannotRenew) {
				t.Errorf("AccessToken: %v", err)
			}
			if got := s.tenant.Requests("revoke"); got != 1 || s.tenant.Requests("token") != 0 {
				t.Errorf("%d revocations, %d token requests", got, s.tenant.Requests("token"))
			}
			if _, err := s.process().Info(t.Context()); !errors.Is(err, session.ErrNotLoggedIn) {
				t.Errorf("after that: %v", err)
			}
		})
	}
}

// By a clock that was set back nobody can tell how old a session is: it hands out no token, and is not ended.
func TestLimitsByAWrongClock(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.cfg.Limits = session.Limits{MaxAge: 24 * time.Hour, Idle: time.Hour}
	s.login(api)
	token := func(want error) {
		t.Helper()
		if _, err := s.process().AccessToken(t.Context(), session.Request{}); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	s.ahead.Store(int64(-30 * time.Second)) // corrected
	token(nil)
	s.ahead.Store(int64(-time.Hour))
	token(session.ErrClockBefore)
	s.ahead.Store(0)
	token(nil)

	used := filepath.Join(s.cfg.StateDir, s.process().Name()+".used")
	later := time.Now().Add(2 * time.Hour)
	if err := os.Chtimes(used, later, later); err != nil {
		t.Fatal(err)
	}
	token(session.ErrClockBefore)
	if err := os.Remove(used); err != nil {
		t.Fatal(err)
	}
	token(nil)
	if got := s.tenant.Requests("revoke"); got != 0 {
		t.Errorf("%d revocations", got)
	}
}

// What a process keeps in memory counts as used, and ends with the session's limits.
func TestInLimits(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.cfg.Limits = session.Limits{Idle: 10 * time.Minute}
	s.login(api)
	p := s.process()
	if _, err := p.AccessToken(t.Context(), session.Request{}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{8 * time.Minute, 16 * time.Minute} {
		s.ahead.Store(int64(at))
		if !p.InLimits() {
			t.Errorf("at %v: no", at)
		}
	}
	if _, err := s.process().AccessToken(t.Context(), session.Request{}); err != nil {
		t.Errorf("another process: %v", err)
	}
	s.ahead.Store(int64(27 * time.Minute))
	if p.InLimits() {
		t.Error("it outlives its limit")
	}

	// A login that another process stored gets its limits afterwards. A new login has its own.
	s.ahead.Store(0)
	s.cfg.Limits = session.Limits{}
	s.login(api)
	info, err := s.process().Info(t.Context())
	if err != nil || !info.SessionExpiry.IsZero() || !info.IdleExpiry.IsZero() {
		t.Errorf("limits of the login before: %v, %v, %v", info.SessionExpiry, info.IdleExpiry, err)
	}
	if err := s.process().Limit(t.Context(), session.Limits{MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	info, err = s.process().Info(t.Context())
	if end := info.LoggedInAt.Add(time.Hour); err != nil || !info.SessionExpiry.Equal(end) {
		t.Errorf("it ends at %v, not %v: %v", info.SessionExpiry, end, err)
	}
}
