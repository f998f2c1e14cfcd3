//go:build unix

package secretservice

import (
	"syscall"
	"testing"
)

// Stop stops the Secret Service, so that it responds to nothing until Continue.
func (k *Keychain) Stop(t testing.TB) { k.signal(t, syscall.SIGSTOP) }

// Continue makes a stopped Secret Service run again.
func (k *Keychain) Continue(t testing.TB) { k.signal(t, syscall.SIGCONT) }

func (k *Keychain) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := k.Service.Signal(s); err != nil {
		t.Fatal(err)
	}
}
