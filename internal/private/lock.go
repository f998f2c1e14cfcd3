package private

import (
	"os"

	"github.com/gofrs/flock"
)

// NewLock returns the lock that is a file at a path, which processes of this user share. The file is empty, and is made
// when the lock is first taken. It should stay: a process that waits on a deleted file would be alone with it.
func NewLock(path string) *flock.Flock {
	return flock.New(path, flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDONLY|NoLink))
}
