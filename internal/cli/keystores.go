package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/loopkey/loopkey/keystore"
)

// Limits on the keychain: a script must not hang on a dialog that nobody sees, a person may be typing a password.
const (
	keychainLimitScript = 9 * time.Second
	keychainLimitPerson = 55 * time.Second
)

func openStore(kind, stateDir string, limit time.Duration, passphrase passphraseFunc) (keystore.Store, error) {
	switch kind, path, _ := strings.Cut(kind, ":"); kind {
	case "keychain":
		return keystore.Keychain(keystore.KeychainOptions{Limit: limit}), nil
	case "file":
		return keystore.File(filepath.Join(stateDir, "sessions"), passphrase), nil
	case "socket":
		return keystore.Dial(path), nil
	default:
		return nil, fmt.Errorf("%w: --keystore is %q: it is keychain or file", errUsage, kind)
	}
}
