package session

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
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
