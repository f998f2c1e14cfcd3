package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/keystore"
)

// say prints a line for the person, on stderr.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintln(a.terminal, foldFor(a.stderr, fmt.Sprintf(format, args...)))
}

// tries is how often a new passphrase may be typed, until it is the same twice.
const tries = 3

// Why the terminal gave no passphrase for an encrypted file.
const (
	encryptedFile = "the encrypted file" // what can't be used then

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
			What: encryptedFile, Why: "it needs a passphrase and there is no terminal to ask on", Reason: reasonNoTerminal,
		}
	case err != nil:
		return "", err
	case text == "":
		return "", &keystore.UnavailableError{
			What: encryptedFile, Why: "no passphrase was given", Reason: keystore.ReasonNoPassphrase,
		}
	}
	return text, nil
}

// A passphrase is that of an encrypted file: LOOPKEY_PASSPHRASE, else what the person types. The person is asked once
// for a file, however often that is opened.
type passphrase struct {
	app   *app
	given string // "": it has to be asked for

	mu    sync.Mutex
	typed string // "": not yet
}

// passphrase returns the passphrase of a keystore.
func (a *app) passphrase(store string) *passphrase {
	p := a.passphrases[store]
	if p == nil {
		p = &passphrase{app: a, given: a.lookup("LOOPKEY_PASSPHRASE")}
		a.passphrases[store] = p
	}
	return p
}

// known returns the passphrase if it was given or typed, else "".
func (p *passphrase) known() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.given, p.typed)
}

// ask asks the person. With confirm it is a new one, which they type twice.
func (p *passphrase) ask(ctx context.Context, confirm bool) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.typed != "" {
		return p.typed, nil
	}
	for n := range tries {
		if n > 0 {
			p.app.say("The two differ.")
		}
		typed, err := p.app.ask(ctx, "Passphrase for loopkey's session file: ")
		if err != nil {
			return "", err
		}
		again := typed
		if confirm {
			if again, err = p.app.ask(ctx, "The same once more: "); err != nil {
				return "", err
			}
		}
		if again == typed {
			p.typed = typed
			return typed, nil
		}
	}
	return "", &keystore.UnavailableError{
		What: encryptedFile, Why: "the two passphrases differ", Reason: reasonPassphrasesDiffer,
	}
}
