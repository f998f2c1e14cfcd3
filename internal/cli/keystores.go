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
func (a *app) openStore(name, stateDir string, limit time.Duration) (keystore.Store, error) {
	kind, path, ok := keystores.Find(name)
	if !ok {
		return nil, fmt.Errorf("%w: --keystore is %q: it is %s", errUsage, name, strings.Join(keystores.Choices(), " or "))
	}
	o := keystores.Options{StateDir: stateDir, Limit: limit}
	if kind.WantsPassphrase {
		p := a.passphrase(name)
		o.Passphrase, o.GivenPassphrase = p.ask, p.given
		if a.config != nil { // a process of its own has none: the one that started it let the key rest
			o.Rest = a.config.UnlockFor
		}
	}
	return kind.Open(path, o), nil
}
