package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/keystore"
)

// Limits on the keychain. A script must not hang on a dialog that nobody sees; a person may be typing a password.
const (
	keychainLimitScript = 9 * time.Second
	keychainLimitPerson = 55 * time.Second
)

// openStore returns the keystore that a configuration names.
func openStore(name string, o keystores.Options) (keystore.Store, error) {
	kind, path, ok := keystores.Find(name)
	if !ok {
		return nil, fmt.Errorf("%w: --keystore is %q: it is %s", errUsage, name, strings.Join(keystores.Choices(), " or "))
	}
	return kind.Open(path, o), nil
}

// wantsPassphrase reports whether a keystore has to be given a passphrase.
func wantsPassphrase(name string) bool {
	kind, _, ok := keystores.Find(name)
	return ok && kind.WantsPassphrase
}
