package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/private"
)

// lockLimit is how long to wait for another process. It is longer than a renewal may take.
const lockLimit = renewLimit + saveLimit + 5*time.Second

// A fileLock is shared by all processes of the user. It is two files: the turn, whose holder may change the session,
// and the work, which is held while the session is changed. They are two because the work of a renewal may be done by a
// process that outlives the one that has its turn. A process that changes the session holds the work, and takes the
// work only in its turn. The exception is a process that was ordered to renew: it takes the work in another process's
// turn.
//
// The files are empty and are never deleted: a process that waits on a deleted file would be alone with it. The turn's
// modification time says when the session last changed.
type fileLock struct{ dir, name string }

func (l *fileLock) turn() string { return filepath.Join(l.dir, l.name+".lock") }
func (l *fileLock) work() string { return filepath.Join(l.dir, l.name+".work.lock") }

func (l *fileLock) open(path string) (*flock.Flock, error) {
	if err := private.Dir(l.dir); errors.As(err, new(*os.PathError)) {
		return nil, fmt.Errorf("the session's lock: %w: make %s a folder that can be written", err, l.dir)
	} else if err != nil {
		return nil, fmt.Errorf("the session's lock: %w", err)
	}
	return flock.New(path, flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDONLY|private.NoLink)), nil
}

// A held lock is this process's turn, and the work unless that was handed over.
type held struct{ turn, work *flock.Flock }

func (h *held) release() {
	h.handOver()
	_ = h.turn.Close()
}

// handOver lets another process do the work while this one keeps its turn.
func (h *held) handOver() { _ = h.work.Close() }

// tryAcquire takes the lock if no process has its turn. Otherwise it returns nil.
func (l *fileLock) tryAcquire(ctx context.Context) (*held, error) {
	turn, err := l.open(l.turn())
	if err != nil {
		return nil, err
	}
	ok, err := turn.TryLock()
	if err != nil {
		return nil, unusable(turn.Path(), err)
	}
	if !ok {
		_ = turn.Close()
		return nil, nil
	}
	return l.withWork(ctx, turn)
}

// acquire waits for the lock and takes it.
func (l *fileLock) acquire(ctx context.Context) (*held, error) {
	turn, err := l.wait(ctx, l.turn(), (*flock.Flock).Lock)
	if err != nil {
		return nil, err
	}
	return l.withWork(ctx, turn)
}

// withWork waits for the work too: a process that was ordered to renew may still do it, after the one that ordered it
// died.
func (l *fileLock) withWork(ctx context.Context, turn *flock.Flock) (*held, error) {
	work, err := l.acquireWork(ctx)
	if err != nil {
		_ = turn.Close()
		return nil, err
	}
	return &held{turn, work}, nil
}

func (l *fileLock) acquireWork(ctx context.Context) (*flock.Flock, error) {
	return l.wait(ctx, l.work(), (*flock.Flock).Lock)
}

// errChanged says that the session changed during the wait.
var errChanged = errors.New("the session has changed")

// idle waits until no process has its turn, side by side with other processes that wait so. It returns errChanged as
// soon as the session has changed since it was seen.
func (l *fileLock) idle(ctx context.Context, seen time.Time) (*flock.Flock, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if !l.touched().Equal(seen) {
					cancel(errChanged)
					return
				}
			}
		}
	}()
	return l.wait(ctx, l.turn(), (*flock.Flock).RLock)
}

// lookEvery is how often idle looks for a change of the session, by one stat.
const lookEvery = 300 * time.Millisecond

// wait blocks in the kernel, which is fairer and faster than to ask again and again. If ctx ends first, the lock is
// released as soon as the kernel grants it.
func (l *fileLock) wait(ctx context.Context, path string, take func(*flock.Flock) error) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, ErrLocked)
	defer cancel()
	f, err := l.open(path)
	if err != nil {
		return nil, err
	}
	taken := make(chan error, 1)
	go func() { taken <- take(f) }()
	select {
	case err := <-taken:
		if err != nil {
			return nil, unusable(path, err)
		}
		return f, nil
	case <-ctx.Done():
		go func() {
			if <-taken == nil {
				_ = f.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

func unusable(path string, err error) error {
	if info, lstatErr := os.Lstat(path); lstatErr == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("the session's lock: %s is not the file that loopkey made there: move it away", path)
	}
	return fmt.Errorf("the session's lock: %w", err)
}

// touch lets other processes notice a change. That is a hint, so a failure is ignored.
func (l *fileLock) touch() {
	now := time.Now()
	_ = os.Chtimes(l.turn(), now, now)
}

func (l *fileLock) touched() time.Time {
	info, err := os.Stat(l.turn())
	if err != nil && !errors.Is(err, os.ErrNotExist) || info == nil {
		return time.Time{}
	}
	return info.ModTime()
}
