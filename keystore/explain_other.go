//go:build !(dragonfly || freebsd || linux || netbsd || openbsd)

package keystore

import (
	"context"
	"errors"
	"runtime"
)

// look finds nothing: here the keychain is part of the system.
func look() (address string, err error) { return "", nil }

// ask leaves every read to go-keyring.
func (osEntries) ask(context.Context, string) (string, error) { return "", errors.ErrUnsupported }

// tell leaves every write to go-keyring.
func (osEntries) tell(context.Context, string, string) error { return errors.ErrUnsupported }

func (osEntries) untell(context.Context, string) error { return errors.ErrUnsupported }

// Leases are files here, so there are no conversations.
type leases struct{}

func (*leases) forget(string) {}

func (*leases) last(string) (value string, ok bool) { return "", false }

// readBack has changes read back on macOS, where /usr/bin/security may be left waiting for a dialog.
const readBack = runtime.GOOS == "darwin"

// encoded leaves text as it is: here the keychain keeps what it is given, and has little room.
const encoded = false

// abandon does nothing: here a call that was left behind can't be ended.
func abandon() {}

// vanished reports false: here an entry is found and used in one step.
func vanished(error) bool { return false }

// copies returns 0: here there is one entry of a name at most.
func copies(string, string) int { return 0 }
