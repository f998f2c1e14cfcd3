package keystore_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/keystore/keystoretest"
)

// The stores that need nothing from the machine. TestSecretService does the same with a keychain.
func TestStores(t *testing.T) {
	t.Parallel()
	passphrase := func(context.Context, bool) (string, error) { return "right", nil }
	for name, open := range map[string]func(*testing.T) keystore.Store{
		"memory": func(*testing.T) keystore.Store { return keystore.Memory() },
		"file": func(t *testing.T) keystore.Store {
			return keystore.QuickFile(filepath.Join(t.TempDir(), "a", "b"), passphrase)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keystoretest.Run(t, open)
		})
	}
}
