package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
)

// ask asks the person for a line. Enter alone takes the proposal.
func (w *wizard) ask(ctx context.Context, question, proposal string) (string, error) {
	w.catchSignals()
	if proposal != "" {
		question += " [" + words.Printable(proposal) + "]"
	}
	typed, err := w.terminal.Line(ctx, question+": ")
	switch {
	case errors.Is(err, io.EOF):
		return "", errInterrupted
	case err != nil:
		return "", err
	case strings.TrimSpace(typed) == "":
		return proposal, nil
	}
	return strings.TrimSpace(typed), nil
}

// confirm asks whether something should be done. With --yes it should; where nobody can be asked, it should not.
func (w *wizard) confirm(ctx context.Context, question string, proposal bool) (bool, error) {
	switch {
	case w.flags.yes:
		return true, nil
	case !w.asks:
		return false, nil
	}
	choices := "y/N"
	if proposal {
		choices = "Y/n"
	}
	for {
		typed, err := w.ask(ctx, question+" ["+choices+"]", "")
		if err != nil {
			return false, err
		}
		switch strings.ToLower(typed) {
		case "":
			return proposal, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}

// keepSecret writes a client secret into a file that only its owner can read, and has the profile name that.
func (w *wizard) keepSecret(secret string) error {
	if secret == "" {
		return nil
	}
	path := filepath.Join(filepath.Dir(w.config.File), "client-secret."+w.profile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("the client secret can't be stored: %w", err)
	}
	if err := private.Replace(path, []byte(secret+"\n")); err != nil {
		return fmt.Errorf("the client secret can't be stored: %w", err)
	}
	w.say("The client secret is in %s, which only you can read.", words.Printable(path))
	w.app.flags["client-secret-file"] = path
	return nil
}
