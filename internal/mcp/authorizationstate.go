package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/provider"
)

// A state is what all processes know of the authorization of one server: whose session it is, and what became of the
// last login. It is a file in the state folder and holds no secret.
type state struct {
	Server  string       `json:"server"`
	Session known.Client `json:"session,omitzero"` // of the last login that worked; zero: none has
	Asked   []string     `json:"asked,omitempty"`  // the scopes that it asked for
	// Need is the authentication that it asked for.
	Need provider.Requirement `json:"need,omitzero"`

	// The last login. It is pending from Began on: until Ended, or until its process is gone.
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	LoggedIn time.Time `json:"logged_in,omitzero"` // when the last login that worked was stored
	Failure  string    `json:"failure,omitempty"`  // why the last login ended, if it did not work; printable
}

const (
	stateLimit = 1 << 16 // of the file, in bytes
	// loginLimit is how long a login waits for the person.
	loginLimit = 5 * time.Minute
	// startLimit is how long the process of a login may take to begin.
	startLimit = time.Minute
	// quiet is for how long no browser is opened after nobody finished a login.
	quiet = 10 * time.Minute
)

// stateName returns the name of a server's files in the state folder.
func stateName(server string) string {
	sum := sha256.Sum256([]byte(server))
	return "mcp." + hex.EncodeToString(sum[:8])
}

func statePath(stateDir, server string) string {
	return filepath.Join(stateDir, stateName(server)+".state.json")
}

// readState returns what is known of a server. A file that is not there, or that can't be read, says nothing.
func readState(stateDir, server string) state {
	var s state
	data, err := private.Read(statePath(stateDir, server), stateLimit)
	if err != nil || json.Unmarshal(data, &s) != nil || s.Server != server {
		return state{Server: server}
	}
	return s
}

// write replaces what is known of a server. The caller holds the server's lock.
func (s state) write(stateDir string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return private.Replace(statePath(stateDir, s.Server), append(data, '\n'))
}

// asOf returns the state without times of the future: they were noted while the clock was wrong. A minute of it is
// none, because clocks are corrected by as much.
func (s state) asOf(now time.Time) state {
	for _, at := range []*time.Time{&s.Began, &s.Ended, &s.LoggedIn} {
		if at.After(now.Add(time.Minute)) {
			*at = time.Time{}
		}
	}
	return s
}

// isPending reports whether a login may still come to its end. alive says that its process runs.
func (s state) isPending(now time.Time, alive bool) bool {
	s = s.asOf(now)
	return s.Began.After(s.Ended) && (alive || now.Sub(s.Began) < startLimit)
}

// isQuiet reports whether nobody finished the last login, and that is not long ago.
func (s state) isQuiet(now time.Time) bool {
	s = s.asOf(now)
	last := s.Began
	if s.Ended.After(last) {
		last = s.Ended
	}
	return s.LoggedIn.Before(s.Began) && now.Sub(last) < quiet
}

// ErrBusy says that another process is busy with the authorization of the same server for too long.
var ErrBusy = errors.New("another loopkey process is busy with the authorization of this server")

// lockLimit is how long to wait for another process. It is longer than finding out about a server may take.
const lockLimit = 2 * time.Minute

const lockPause = 25 * time.Millisecond

// acquire takes a lock that all processes share. Its file is empty and is never deleted.
func (a *Authorization) acquire(ctx context.Context, name string) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, ErrBusy)
	defer cancel()
	for {
		lock, err := tryLock(a.cfg.StateDir, name)
		if err != nil || lock != nil {
			return lock, err
		}
		if err := clock.Pause(ctx, lockPause); err != nil {
			return nil, err
		}
	}
}

// tryLock takes a lock if no process has it. Otherwise it returns nil.
func tryLock(stateDir, name string) (*flock.Flock, error) {
	if err := private.Dir(stateDir); err != nil {
		return nil, fmt.Errorf("the lock of an MCP server: %w", err)
	}
	path := filepath.Join(stateDir, name+".lock")
	lock := private.NewLock(path)
	ok, err := lock.TryLock()
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the lock of an MCP server: %w", err)
	}
	if !ok {
		_ = lock.Close()
		return nil, nil
	}
	return lock, nil
}

// isAlive reports whether the process of a login runs: it holds a lock.
func isAlive(stateDir, server string) bool {
	lock, err := tryLock(stateDir, stateName(server)+".login")
	if err != nil {
		return false
	}
	if lock == nil {
		return true
	}
	_ = lock.Close()
	return false
}
