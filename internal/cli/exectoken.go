package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A tokenFile is a file with a token, for a command that runs longer than the token lives. It is in a folder of
// its own. It is written through root, so it is in the folder that was made, whatever is at that folder's path later.
type tokenFile struct {
	path string
	root *os.Root
	lock *flock.Flock // held while exec runs: a folder whose lock is free was left by an exec that was killed
}

const (
	tokenName    = "token"
	lockName     = "lock"
	folderPrefix = "loopkey-exec-"
	mostInPlace  = 10_000 // how many names in a place are looked at
)

// newTokenFile makes a token file in the first place where no other user can rename the person's files: the runtime
// directory, which is in memory, else the folder for temporary files, else the state folder.
func newTokenFile(runtimeDir, stateDir string, token provider.Secret) (*tokenFile, error) {
	var reasons []string
	for _, place := range []string{runtimeDir, os.TempDir(), stateDir} {
		if !filepath.IsAbs(place) { // the command may run in another folder
			reasons = append(reasons, fmt.Sprintf("%q is no absolute path", place))
			continue
		}
		if place == stateDir {
			_ = private.Dir(stateDir) // if it fails, Keeps says why
		}
		if why := private.Keeps(place); why != "" {
			reasons = append(reasons, why)
			continue
		}
		sweepTokenFiles(place)
		f, err := tokenFileIn(place, token)
		if errors.Is(err, os.ErrNotExist) { // another exec removed the folder before its lock was taken
			f, err = tokenFileIn(place, token)
		}
		if err == nil {
			return f, nil
		}
		reasons = append(reasons, err.Error())
	}
	return nil, fmt.Errorf("a place for the token file: %s", strings.Join(reasons, "; "))
}

// tokenFileIn makes a token file in a place.
func tokenFileIn(place string, token provider.Secret) (*tokenFile, error) {
	dir, err := os.MkdirTemp(place, folderPrefix+"*") // 0700
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		_ = os.Remove(dir)
		return nil, err
	}
	f := &tokenFile{path: filepath.Join(dir, tokenName), root: root, lock: folderLock(dir)}
	if err = f.take(); err == nil {
		err = f.write(token)
	}
	if err != nil {
		f.remove()
		return nil, err
	}
	return f, nil
}

// take locks the folder, once it has made sure that nobody else can enter it.
func (f *tokenFile) take() error {
	info, err := f.root.Stat(".")
	if err != nil {
		return err
	}
	if why := private.Exposed(info, 0o077); why != "" {
		return fmt.Errorf("%s %s", f.root.Name(), why)
	}
	locked, err := f.lock.TryLock()
	if err == nil && !locked {
		return os.ErrNotExist // another exec is removing it
	}
	return err
}

func folderLock(dir string) *flock.Flock {
	return private.NewLock(filepath.Join(dir, lockName))
}

// write replaces the file. A reader sees the old token or the new one, whole.
func (f *tokenFile) write(token provider.Secret) error {
	next := tokenName + "." + rand.Text()
	file, err := f.root.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("the token file: %w", err)
	}
	_, err = file.WriteString(token.Reveal())
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = f.root.Rename(next, tokenName)
	}
	if err != nil {
		_ = f.root.Remove(next)
		return fmt.Errorf("the token file: %w", err)
	}
	return nil
}

// remove removes the file and its folder.
func (f *tokenFile) remove() {
	_ = f.root.Remove(tokenName) // even if something else is at the path by now
	_ = f.lock.Close()
	_ = f.root.Close()
	_ = os.RemoveAll(filepath.Dir(f.path))
}

// sweepTokenFiles removes the token files in a place whose exec was killed.
func sweepTokenFiles(place string) {
	folder, err := os.Open(place) //nolint:forbidigo // a folder
	if err != nil {
		return
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(mostInPlace)
	for _, name := range names {
		if !strings.HasPrefix(name, folderPrefix) {
			continue
		}
		dir := filepath.Join(place, name)
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || private.Exposed(info, 0o077) != "" {
			continue
		}
		_, err = os.Lstat(filepath.Join(dir, lockName))
		if err != nil && clock.Within(info.ModTime(), clock.Now(), time.Minute) {
			continue // its exec has yet to make the lock
		}
		lock := folderLock(dir)
		if locked, err := lock.TryLock(); err == nil && locked {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
			_ = os.RemoveAll(dir) // Windows does not remove an open file, such as the lock before its Close
		}
		_ = lock.Close()
	}
}

// The waits between two renewals of the token in the file, and after a renewal that failed.
const (
	soonest     = time.Second
	latest      = time.Hour
	firstRetry  = 5 * time.Second
	longestWait = 5 * time.Minute // a retry waits twice as long as the one before, up to this
)

// A fresher returns a token that lives for at least so long, and its expiry.
type fresher func(ctx context.Context, least time.Duration) (provider.Secret, time.Time, error)

// startKeeping keeps the token in the file fresh until end is called. The end of ctx does not end it, for the command
// goes on after a Ctrl-C. The token that is in the file expires at expiry.
func (f *tokenFile) startKeeping(ctx context.Context, fresh fresher, expiry time.Time) (end func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.keepFresh(ctx, fresh, expiry)
	}()
	return func() {
		stop()
		<-done
	}
}

// keepFresh renews the token in the file until ctx or the session ends.
func (f *tokenFile) keepFresh(ctx context.Context, fresh fresher, expiry time.Time) {
	wait := untilRenewal(expiry, time.Now())
	retry := firstRetry
	for {
		if clock.Wait(ctx, wait) != nil {
			return
		}
		token, until, err := fresh(ctx, time.Until(expiry)+soonest) // longer than the token in the file has
		switch {
		case errors.Is(err, session.ErrNotLoggedIn), errors.Is(err, session.ErrCannotRenew):
			return // the token in the file was the session's last
		case err == nil && f.write(token) == nil:
			expiry, retry = until, firstRetry
			wait = untilRenewal(expiry, time.Now())
		default:
			wait, retry = retry, min(2*retry, longestWait)
		}
	}
}

// untilRenewal returns how long to wait until a fifth of a token's life is left, when it is renewed.
func untilRenewal(expiry, now time.Time) time.Duration {
	if expiry.IsZero() {
		return latest
	}
	left := expiry.Sub(now)
	return min(max(left-max(left/5, 0), soonest), latest)
}
