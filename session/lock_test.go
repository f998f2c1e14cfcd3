package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What flock says of a file system without locks, such as NFS without its lock service.
func TestNoLocks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	for cause, want := range map[error]bool{
		syscall.ENOLCK: true, syscall.ENOSYS: true, syscall.ENOTSUP: true,
		syscall.EINTR: false, syscall.EIO: false, syscall.EMFILE: false, fs.ErrPermission: false,
	} {
		if got := unusable(path, &fs.PathError{Op: "flock", Path: path, Err: cause}); errors.Is(got, ErrNoLocks) != want {
			t.Errorf("%v: got %v", cause, got)
		}
	}
	if got := unusable(t.TempDir(), syscall.EINTR); !errors.Is(got, ErrLockInTheWay) {
		t.Errorf("a folder: got %v", got)
	}
}

// Touch makes every session look changed, so that what a process has in memory of one is read again.
func TestTouch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long := time.Now().Add(-time.Hour)
	var locks []fileLock
	for _, name := range []string{"default.1", "work.2"} {
		l := fileLock{dir: dir, name: name}
		if err := errors.Join(os.WriteFile(l.turn(), nil, 0o600), os.Chtimes(l.turn(), long, long)); err != nil {
			t.Fatal(err)
		}
		locks = append(locks, l)
	}
	if err := Touch(dir); err != nil {
		t.Fatal(err)
	}
	for _, l := range locks {
		if changed := l.touched(); time.Since(changed) > time.Minute {
			t.Errorf("%s changed %v", l.name, changed)
		}
	}
	if err := Touch(filepath.Join(dir, "none")); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}
