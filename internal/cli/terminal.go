package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/keystore"
)

// say prints a line for the person: never part of the answer.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.terminal, format+"\n", args...)
}

// Why the terminal gave no passphrase for an encrypted file.
const (
	reasonNoTerminal        keystore.Reason = "no_terminal"
	reasonPassphrasesDiffer keystore.Reason = "passphrases_differ"
)

// ask asks the person for a line without showing it.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	text, err := a.terminal.Password(ctx, question)
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return "", &keystore.UnavailableError{
			Why: "the encrypted file needs a passphrase and there is no terminal to ask on", Reason: reasonNoTerminal,
		}
	case err != nil:
		return "", err
	case text == "":
		return "", &keystore.UnavailableError{Why: "no passphrase was given", Reason: keystore.ReasonNoPassphrase}
	}
	return text, nil
}

// passphrase asks for the encrypted file's passphrase: LOOPKEY_PASSPHRASE, else the person, once.
func (a *app) passphrase() keystores.Passphrase {
	var once sync.Mutex
	known := a.lookup("LOOPKEY_PASSPHRASE")
	return func(ctx context.Context, confirm bool) (string, error) {
		once.Lock()
		defer once.Unlock()
		if known != "" {
			return known, nil
		}
		answer, err := a.ask(ctx, "Passphrase for loopkey's session file: ")
		if err != nil {
			return "", err
		}
		if confirm {
			again, err := a.ask(ctx, "The same once more: ")
			if err != nil {
				return "", err
			}
			if again != answer {
				return "", &keystore.UnavailableError{Why: "the two passphrases differ", Reason: reasonPassphrasesDiffer}
			}
		}
		known = answer
		return answer, nil
	}
}
