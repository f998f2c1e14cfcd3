package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/loopkey/loopkey/internal/private"
)

// Limits are those that the user sets a session at its login, beside the provider's. A session that has reached one
// hands out no token any more, and is ended by the process that notices.
type Limits struct {
	MaxAge time.Duration // since the login; 0: none
	Idle   time.Duration // since a token was last handed out; 0: none
}

// limits are those of a stored session.
type limits struct {
	LoggedIn time.Time     `json:"logged_in"`
	MaxAge   time.Duration `json:"max_age,omitempty"` // in nanoseconds
	Idle     time.Duration `json:"idle,omitempty"`
}

// clockSlack is how far a clock may be set back without a doubt about what was noted before.
const clockSlack = time.Minute

// maxAgeEnd returns when the session reaches its age; zero: never.
func (l limits) maxAgeEnd() time.Time {
	if l.MaxAge == 0 {
		return time.Time{}
	}
	return l.LoggedIn.Add(l.MaxAge)
}

// check returns ErrTooOld or ErrIdle for a session that has reached a limit. used is when a token was last handed out.
// A time of the future was noted while the clock was wrong, so nobody can tell how long ago it is. That is
// ErrClockBefore, which ends no session.
func (l limits) check(used, now time.Time) error {
	if l.MaxAge == 0 && l.Idle == 0 {
		return nil
	}
	switch soon := now.Add(clockSlack); {
	case l.LoggedIn.After(soon), l.Idle > 0 && used.After(soon):
		return ErrClockBefore
	case l.MaxAge > 0 && !l.maxAgeEnd().After(now):
		return ErrTooOld
	case l.Idle > 0 && !used.Add(l.Idle).After(now):
		return ErrIdle
	}
	return nil
}

// usedFile is a file whose modification time says when a token was last handed out of a session with a limit on that.
// The keystore is not written for it.
func (s *Session) usedFile() string { return filepath.Join(s.cfg.StateDir, s.name+".used") }

// lastUsed returns when a token was last handed out, as far as this machine's files and the session tell.
func (s *Session) lastUsed(l limits, renewed time.Time) time.Time {
	used := l.LoggedIn
	if renewed.After(used) {
		used = renewed
	}
	if info, err := os.Lstat(s.usedFile()); err == nil && info.ModTime().After(used) {
		used = info.ModTime()
	}
	return used
}

// inLimits returns why the session may be used no more, or nil. It keeps the limits for InLimits.
func (s *Session) inLimits(st *state, now time.Time) error {
	s.limits.Store(&st.Limits)
	s.renewed.Store(&st.Current.Obtained)
	return st.Limits.check(s.lastUsed(st.Limits, st.Current.Obtained), now)
}

// InLimits reports whether a token that was handed out before may be handed out again, by the limits of the session as
// it was last read. It is for programs that keep tokens in memory, and counts as a use.
func (s *Session) InLimits() bool {
	l, renewed, now := s.limits.Load(), s.renewed.Load(), s.cfg.Now()
	if l == nil || renewed == nil {
		return true
	}
	if l.check(s.lastUsed(*l, *renewed), now) != nil {
		return false
	}
	s.noteUse(*l, now)
	return true
}

// noteUse notes that a token is handed out. It is a hint that a file which can't be written does not carry.
func (s *Session) noteUse(l limits, now time.Time) {
	if l.Idle == 0 {
		return
	}
	path := s.usedFile()
	if info, err := os.Lstat(path); err == nil {
		if now.Sub(info.ModTime()) < min(time.Minute, l.Idle/8) && !info.ModTime().After(now) {
			return // not a write for each token
		}
	} else if private.Replace(path, nil) != nil {
		return
	}
	_ = os.Chtimes(path, now, now)
}

// admit returns an error for a session that has ended: by the provider, or by its limits. What has reached a limit is
// ended here, and its refresh token is revoked; where that fails, the next caller tries again.
func (s *Session) admit(ctx context.Context, st *state, now time.Time) error {
	if err := st.alive(now); err != nil {
		return err
	}
	err := s.inLimits(st, now)
	if errors.Is(err, ErrTooOld) || errors.Is(err, ErrIdle) {
		_, _ = s.End(ctx, EndOptions{Only: func(i Info) bool {
			return errors.Is(i.Unusable, ErrTooOld) || errors.Is(i.Unusable, ErrIdle)
		}})
	}
	if err != nil {
		return s.named(err)
	}
	s.noteUse(st.Limits, now)
	return nil
}

// admitInTurn is admit for a caller that may have its turn, which is given back where a session has to be ended.
func (s *Session) admitInTurn(ctx context.Context, st *state, now time.Time, turn **held) error {
	err := s.spare(st, now)
	if err == nil {
		return nil
	}
	if *turn != nil {
		(*turn).release()
		*turn = nil
	}
	return s.admit(ctx, st, now)
}

// spare is admit for a caller that asks the provider for nothing: it ends no session.
func (s *Session) spare(st *state, now time.Time) error {
	if err := st.alive(now); err != nil {
		return err
	}
	if err := s.inLimits(st, now); err != nil {
		return s.named(err)
	}
	s.noteUse(st.Limits, now)
	return nil
}

// Limit sets the session's limits, for a login that another process has stored.
func (s *Session) Limit(ctx context.Context, l Limits) error {
	err := s.update(ctx, func(st *state) { st.Limits = limits{st.LoggedIn, l.MaxAge, l.Idle} })
	if err != nil {
		return fmt.Errorf("the limits of the session: %w", err)
	}
	return nil
}
