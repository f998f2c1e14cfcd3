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

// say prints a line for the person, on stderr.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.terminal, format+"\n", args...)
}

// Why the terminal gave no passphrase for an encrypted file.
const (
	reasonNoTerminal        keystore.Reason = "no_terminal"        // there is no terminal to ask for the passphrase on
	reasonPassphrasesDiffer keystore.Reason = "passphrases_differ" // the two passphrases that were typed differ
)

// ask asks the person for a line, and does not show what they type.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	a.catchSignals() // the terminal shows again what is typed, however this ends
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

// passphrase returns a func that gives the passphrase of an encrypted file: LOOPKEY_PASSPHRASE, else what the person
// types. It asks the person once for a file, however often that is opened.
func (a *app) passphrase(store string) keystores.Passphrase {
	if known, ok := a.passphrases[store]; ok {
		return known
	}
	var mu sync.Mutex
	passphrase := a.lookup("LOOPKEY_PASSPHRASE")
	a.passphrases[store] = func(ctx context.Context, confirm bool) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if passphrase != "" {
			return passphrase, nil
		}
		typed, err := a.ask(ctx, "Passphrase for loopkey's session file: ")
		if err != nil {
			return "", err
		}
		if confirm {
			again, err := a.ask(ctx, "The same once more: ")
			if err != nil {
				return "", err
			}
			if again != typed {
				return "", &keystore.UnavailableError{Why: "the two passphrases differ", Reason: reasonPassphrasesDiffer}
			}
		}
		passphrase = typed
		return typed, nil
	}
	return a.passphrases[store]
}
