package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockLimit is how long to wait for another process: longer than a renewal may take.
const lockLimit = renewLimit + 15*time.Second

// A fileLock is shared by all processes of the person. Its file holds nothing and
// is never deleted: a process that waits on a deleted file would be alone with it.
// Its modification time says when the session last changed.
type fileLock struct{ dir, name string }

func (l *fileLock) path() string { return filepath.Join(l.dir, l.name+".lock") }

func (l *fileLock) open() (*flock.Flock, error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("the session's lock: %w", err)
	}
	return flock.New(l.path(), flock.SetPermissions(0o600)), nil
}

// tryAcquire takes the lock if nobody has it; unlock is nil if somebody does.
func (l *fileLock) tryAcquire() (unlock func(), err error) {
	f, err := l.open()
	if err != nil {
		return nil, err
	}
	ok, err := f.TryLock()
	if err != nil {
		return nil, fmt.Errorf("the session's lock: %w", err)
	}
	if !ok {
		_ = f.Close()
		return nil, nil
	}
	return func() { _ = f.Close() }, nil
}

// acquire waits for the lock and takes it alone.
func (l *fileLock) acquire(ctx context.Context) (unlock func(), err error) {
	return l.wait(ctx, (*flock.Flock).Lock)
}

// acquireShared waits until nobody holds the lock alone.
func (l *fileLock) acquireShared(ctx context.Context) (unlock func(), err error) {
	return l.wait(ctx, (*flock.Flock).RLock)
}

// wait blocks in the kernel, which is fairer and faster than asking again and
// again; who stops waiting lets go of the lock when it comes.
func (l *fileLock) wait(ctx context.Context, take func(*flock.Flock) error) (func(), error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, ErrLocked)
	defer cancel()
	f, err := l.open()
	if err != nil {
		return nil, err
	}
	taken := make(chan error, 1)
	go func() { taken <- take(f) }()
	select {
	case err := <-taken:
		if err != nil {
			return nil, fmt.Errorf("the session's lock: %w", err)
		}
		return func() { _ = f.Close() }, nil
	case <-ctx.Done():
		go func() {
			if <-taken == nil {
				_ = f.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// touch lets other processes notice a change. It is a hint, so its failure is none.
func (l *fileLock) touch() {
	now := time.Now()
	_ = os.Chtimes(l.path(), now, now)
}

func (l *fileLock) touched() time.Time {
	info, err := os.Stat(l.path())
	if err != nil && !errors.Is(err, os.ErrNotExist) || info == nil {
		return time.Time{}
	}
	return info.ModTime()
}
