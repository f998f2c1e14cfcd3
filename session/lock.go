package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/keystore"
)

// lockLimit is how long to wait for another process. It is longer than a renewal may take.
const lockLimit = renewLimit + saveLimit + 5*time.Second

// A fileLock is shared by all processes of the user. It is two files: the turn, whose holder may change the session,
// and the work, which is held while the session is changed. They are two because the work of a renewal may be done by a
// process that outlives the one that has its turn. A process that changes the session holds the work, and takes the
// work only in its turn. The exception is a process that was ordered to renew: it takes the work in another process's
// turn.
//
// Processes with another StateDir have other files. So the work is held with the lease of the session in its keystore,
// which all processes share that use the keystore.
//
// The files are empty and are never deleted: a process that waits on a deleted file would be alone with it. The turn's
// modification time says when the session last changed. A third file tells when tokens expire: see knownExpired.
//
// The bell is a named pipe beside them, on Linux. The process that has the turn keeps it open, and the kernel closes it
// at the latest with that process, however it ends: this wakes the processes that wait side by side.
type fileLock struct {
	dir, name string
	leaser    keystore.Leaser // nil: the keystore has no leases, and the files have to do
}

const turnSuffix = ".lock"

func (l *fileLock) turn() string { return filepath.Join(l.dir, l.name+turnSuffix) }
func (l *fileLock) work() string { return filepath.Join(l.dir, l.name+".work.lock") }
func (l *fileLock) bell() string { return filepath.Join(l.dir, l.name+".bell") }

func (l *fileLock) open(path string) (*flock.Flock, error) {
	if err := private.Dir(l.dir); errors.As(err, new(*os.PathError)) {
		return nil, fmt.Errorf("%w %s: %w", ErrLockFolder, l.dir, err)
	} else if err != nil {
		return nil, fmt.Errorf("the session's lock: %w", err)
	}
	return private.NewLock(path), nil
}

// A held lock is this process's turn, and the work unless another process does that.
type held struct {
	turn *flock.Flock
	bell *os.File  // nil: there is none
	work *heldWork // nil: another process does it
}

// A heldWork is the lock of the work's file, and the lease of the session.
type heldWork struct {
	file     *flock.Flock
	endLease func()
}

func (w *heldWork) release() {
	w.endLease()
	_ = w.file.Close()
}

func (h *held) release() {
	if h.work != nil {
		h.work.release()
	}
	if h.bell != nil {
		// Now, while no other process can make one. A pipe that stays would stop a grep through the folder.
		_ = os.Remove(h.bell.Name())
		defer h.bell.Close() // after the turn: who wakes finds that free
	}
	_ = h.turn.Close()
}

// tryTurn takes this process's turn if no other process has its own. Otherwise it returns nil.
func (l *fileLock) tryTurn() (*held, error) {
	turn, err := l.open(l.turn())
	if err != nil {
		return nil, err
	}
	if ok, err := turn.TryLock(); err != nil {
		return nil, unusable(turn.Path(), err)
	} else if !ok {
		return nil, nil
	}
	return &held{turn: turn, bell: hang(l.bell())}, nil
}

// waitTurn waits for this process's turn.
func (l *fileLock) waitTurn(ctx context.Context) (*held, error) {
	turn, err := l.wait(ctx, l.turn())
	if err != nil {
		return nil, err
	}
	return &held{turn: turn, bell: hang(l.bell())}, nil
}

// tryAcquire takes the turn and the work if no process has its turn. Otherwise it returns nil.
func (l *fileLock) tryAcquire(ctx context.Context) (*held, error) {
	h, err := l.tryTurn()
	if h == nil || err != nil {
		return nil, err
	}
	return l.withWork(ctx, h)
}

// acquire waits for the turn and the work, and takes them.
func (l *fileLock) acquire(ctx context.Context) (*held, error) {
	h, err := l.waitTurn(ctx)
	if err != nil {
		return nil, err
	}
	return l.withWork(ctx, h)
}

// withWork waits for the work too: a process that was ordered to renew may still do it, after the one that ordered it
// died.
func (l *fileLock) withWork(ctx context.Context, h *held) (*held, error) {
	var err error
	if h.work, err = l.acquireWork(ctx); err != nil {
		h.release()
		return nil, err
	}
	return h, nil
}

func (l *fileLock) acquireWork(ctx context.Context) (*heldWork, error) {
	file, err := l.wait(ctx, l.work())
	if err != nil {
		return nil, err
	}
	work := &heldWork{file, func() {}}
	if l.leaser == nil {
		return work, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, ErrLocked)
	defer cancel()
	if work.endLease, err = l.leaser.Lease(ctx, l.name); err != nil {
		_ = file.Close()
		if ctx.Err() == nil {
			err = unprepared{err}
		}
		return nil, err
	}
	return work, nil
}

// errChanged says that the session changed during the wait.
var errChanged = errors.New("the session has changed")

// idle waits until no process has its turn, side by side with other processes that wait so. It returns errChanged as
// soon as the session has changed since it was seen.
func (l *fileLock) idle(ctx context.Context, seen time.Time) (*flock.Flock, error) {
	asked := func(ctx context.Context, pause time.Duration) error {
		if !listen(ctx, l.bell(), bellLimit) {
			if err := pauseAbout(ctx, pause); err != nil {
				return err
			}
		}
		if !l.touched().Equal(seen) {
			return errChanged
		}
		return context.Cause(ctx)
	}
	return l.waitFor(ctx, l.turn(), mostSharedPause, (*flock.Flock).TryRLock, asked)
}

// The pauses between two attempts to take a lock: short at first, since most locks are held for a moment.
const (
	firstPause = time.Millisecond
	mostPause  = 25 * time.Millisecond
	// Of those that wait side by side there may be a hundred. Their questions must not slow down the one that works, and
	// in the time between the first that notices the change and the last they could not all read the keystore anyway.
	mostSharedPause = 100 * time.Millisecond
	// A process that was stopped in its turn may have changed the session, and does not close the bell.
	bellLimit = time.Second
)

// wait waits for a lock that no other process holds.
func (l *fileLock) wait(ctx context.Context, path string) (*flock.Flock, error) {
	return l.waitFor(ctx, path, mostPause, (*flock.Flock).TryLock, pauseAbout)
}

// pauseAbout pauses for half as long to half as long again. Not all at once: a hundred processes may wait.
func pauseAbout(ctx context.Context, pause time.Duration) error {
	return clock.Pause(ctx, pause/2+rand.N(pause)) //nolint:gosec // no secret
}

// waitFor asks for a lock again and again until take succeeds, until the pause between returns an error, or until ctx
// ends. It does not block in the kernel's lock: such a call can't be ended, and holds a descriptor, a goroutine and a
// thread as long as another process holds the lock.
func (l *fileLock) waitFor(
	ctx context.Context, path string, most time.Duration, take func(*flock.Flock) (bool, error),
	between func(ctx context.Context, pause time.Duration) error,
) (*flock.Flock, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, ErrLocked)
	defer cancel()
	f, err := l.open(path)
	if err != nil {
		return nil, err
	}
	for pause := firstPause; ; pause = min(2*pause, most) {
		if ok, err := take(f); err != nil {
			return nil, unusable(path, err)
		} else if ok {
			return f, nil
		}
		if err := between(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// Why there is no lock, so that the session can't be changed.
var (
	ErrLockFolder = errors.New("no file for the session's lock can be made in")
	// ErrLockInTheWay says that something else is where the lock's file belongs.
	ErrLockInTheWay = errors.New("the session's lock is no file")
	// ErrNoLocks says that the folder's file system has no locks, such as NFS without its lock service.
	ErrNoLocks = errors.New("the session's lock: this file system has no locks")
)

func unusable(path string, err error) error {
	switch info, lstatErr := os.Lstat(path); {
	case lstatErr == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s", ErrLockInTheWay, path)
	case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOSYS), errors.Is(err, errors.ErrUnsupported):
		return fmt.Errorf("%w: %s: %w", ErrNoLocks, path, err)
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

// Touch has every process that keeps tokens of the sessions in stateDir in memory read them from their keystore again.
// It changes no session.
func Touch(stateDir string) error {
	entries, err := os.ReadDir(stateDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the sessions: %w", err)
	}
	for _, entry := range entries {
		name, isLock := strings.CutSuffix(entry.Name(), turnSuffix)
		if l := (&fileLock{dir: stateDir, name: name}); isLock && entry.Type().IsRegular() {
			l.touch()
		}
	}
	return nil
}
