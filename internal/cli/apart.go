package cli

import (
	"io"
	"os/exec"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/terminal"
)

// Some work is done by a process of its own, which outlives the one that started it. What that has to know comes
// through a pipe: other users can see arguments, and other programs of this user can see the environment.

// apartCommand returns the command of a process of loopkey that goes on when this one ends.
func (a *app) apartCommand(args ...string) (*exec.Cmd, error) {
	self, err := executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...) //nolint:noctx,gosec // this program itself, and the end of ctx must not end it
	cmd.Args[0] = appName              // under a name that a tool knows, the arguments would be the tool's
	cmd.Env = environ.WithoutSecrets(a.env)
	cmd.SysProcAttr = apart()
	return cmd, nil
}

// readErrand reads what such a process has to know. At a terminal there is nothing.
func (a *app) readErrand() []byte {
	if terminal.Is(a.stdin) {
		return nil
	}
	data, _ := io.ReadAll(io.LimitReader(a.stdin, errandLimit)) // what is cut off is refused as damaged
	return data
}

// passphraseFor returns the passphrase that such a process needs for a keystore: "" for one without, and where the key
// rests with the system. This process has opened the keystore before.
func (a *app) passphraseFor(store string) string { return a.passphrase(store).known() }

// givePassphrase is for such a process: nobody can be asked there.
func (a *app) givePassphrase(store, text string) {
	a.passphrases[store] = &passphrase{app: a, given: text}
}
