package keystore

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A system keeps keys in the keyring that the kernel has for each user (user-keyring(7)): in memory that is never
// written to a disk, until their timeout or until the last process of the user has ended. The permissions are those of
// a possessor alone, which any process of the same user can become, and no other user.
//
// In a container the kernel may refuse: Docker's and Podman's seccomp profiles do, because the kernel tells users of
// containers apart by their user namespaces alone. Then there is no key, and nothing is said.
type system struct{ dir string }

const (
	restPrefix    = "loopkey:"
	possessorOnly = 0x3f000000 // KEY_POS_ALL of keyctl_setperm(3)
	mostResting   = 4096       // bytes
	mostKeys      = 4096       // of the user's keyring that are looked at
)

// withKeyring calls do in a thread that possesses the keys of the user's keyring. A session that was made by su or by
// a service manager has no link to it, and would be refused what another session of the same user may read.
func withKeyring(do func() error) error {
	runtime.LockOSThread() // the kernel keeps a keyring for each thread
	defer runtime.UnlockOSThread()
	_, err := unix.KeyctlInt(unix.KEYCTL_LINK, unix.KEY_SPEC_USER_KEYRING, unix.KEY_SPEC_THREAD_KEYRING, 0, 0)
	if err != nil {
		return err
	}
	return do()
}

func (system) get(_ context.Context, name string) (text string, ok bool) {
	id, err := unix.KeyctlSearch(unix.KEY_SPEC_USER_KEYRING, "user", restPrefix+name, 0)
	if err != nil {
		return "", false
	}
	err = withKeyring(func() error {
		content := make([]byte, mostResting)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, content, 0)
		if err == nil && n <= len(content) {
			text = string(content[:n])
		}
		return err
	})
	return text, err == nil && text != ""
}

func (system) put(_ context.Context, name, text string, lifetime time.Duration) error {
	return withKeyring(func() error {
		id, err := unix.AddKey("user", restPrefix+name, []byte(text), unix.KEY_SPEC_USER_KEYRING)
		if err != nil {
			return err
		}
		err = unix.KeyctlSetperm(id, possessorOnly)
		if err == nil {
			seconds := int(max(lifetime, time.Second) / time.Second)
			_, err = unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, id, seconds, 0, 0)
		}
		if err != nil { // a key that others could read, or that stays, is none
			_, _ = unix.KeyctlInt(unix.KEYCTL_INVALIDATE, id, 0, 0, 0)
		}
		return err
	})
}

func (system) forget(context.Context) error {
	err := withKeyring(func() error {
		ids := make([]byte, 4*mostKeys)
		n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, unix.KEY_SPEC_USER_KEYRING, ids, 0)
		if err != nil {
			return err
		}
		for ids = ids[:min(n, len(ids))]; len(ids) >= 4; ids = ids[4:] {
			id := int(int32(binary.NativeEndian.Uint32(ids))) //nolint:gosec // serials are positive
			about, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
			if fields := strings.SplitN(about, ";", 5); err != nil || len(fields) < 5 || fields[0] != "user" ||
				!strings.HasPrefix(fields[4], restPrefix) {
				continue
			}
			if _, err := unix.KeyctlInt(unix.KEYCTL_INVALIDATE, id, 0, 0, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil // there is no keyring here, so nothing rests
	}
	return err
}
