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

// lockLimit is how long to wait for another process: longer than a renewal may take.
const lockLimit = renewLimit + saveLimit + 5*time.Second

// A fileLock is shared by all processes of the person. It is two files: the turn,
// whose holder may change the session, and the work, held while it is changed. They
// are two because the work of a renewal may be done by a process that outlives the
// one whose turn it is. Whoever changes the session holds the work, and takes it
// only in its turn, but for the process that was ordered to.
//
// The files hold nothing and are never deleted: a process that waits on a deleted
// file would be alone with it. The turn's modification time says when the session
// last changed.
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

// A held lock is this process's turn, and its work unless that was handed over.
type held struct{ turn, work *flock.Flock }

func (h *held) release() {
	h.handOver()
	_ = h.turn.Close()
}

// handOver lets another process do the work while the turn stays ours.
func (h *held) handOver() { _ = h.work.Close() }

// tryAcquire takes the lock if it is nobody's turn; it is nil if it is somebody's.
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

// acquire waits for the lock and takes it alone.
func (l *fileLock) acquire(ctx context.Context) (*held, error) {
	turn, err := l.wait(ctx, l.turn(), (*flock.Flock).Lock)
	if err != nil {
		return nil, err
	}
	return l.withWork(ctx, turn)
}

// withWork takes the work too: somebody may still be at it whose turn ended with its process.
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

// errChanged: the session changed while somebody waited for their turn.
var errChanged = errors.New("the session has changed")

// idle waits until it is nobody's turn, or with errChanged until the session has changed since it was seen.
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

const lookEvery = 300 * time.Millisecond // at a change of the session, by one stat

// wait blocks in the kernel, which is fairer and faster than asking again and
// again; who stops waiting lets go of the lock when it comes.
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

// touch lets other processes notice a change. It is a hint, so its failure is none.
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
