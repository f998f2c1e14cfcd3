package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/keystore"
)

// say prints a line for the person: never part of the answer.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, format+"\n", args...)
}

// isTerminal reports whether a person sits at the other end of a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ask reads a line from the terminal without showing it.
func (a *app) ask(ctx context.Context, prompt string) (string, error) {
	missing := &keystore.UnavailableError{
		Why: "the encrypted file needs a passphrase and there is no terminal to ask on", Next: "set LOOPKEY_PASSPHRASE",
	}
	tty, err := os.Open(ttyPath) // not stdin: that may be a pipe with something else in it
	if err != nil {
		return "", missing
	}
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", missing
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	_, _ = io.WriteString(a.stderr, prompt)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case <-ctx.Done(): // the terminal must not stay silent
		_ = term.Restore(fd, before)
		_, _ = io.WriteString(a.stderr, "\n")
		return "", context.Cause(ctx)
	case l := <-read:
		_, _ = io.WriteString(a.stderr, "\n")
		if l.err != nil || len(l.text) == 0 {
			return "", &keystore.UnavailableError{Why: "no passphrase was given", Next: "set LOOPKEY_PASSPHRASE, or type it", Err: errors.Join(l.err)}
		}
		return string(l.text), nil
	}
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
				return "", &keystore.UnavailableError{Why: "the two passphrases differ", Next: "try again"}
			}
		}
		known = answer
		return answer, nil
	}
}
