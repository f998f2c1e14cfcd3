package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/clipboard"
	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/terminal"
)

// copyLife is how long a token stays in the clipboard.
const copyLife = 45 * time.Second

// copyOut puts a token into the clipboard, and has a process of its own take it out again.
func (a *app) copyOut(ctx context.Context, text string) error {
	board, err := clipboard.Find(environ.WithoutSecrets(a.env))
	atTerminal := terminal.Is(a.stderr)
	switch {
	case atTerminal && (environ.OverSSH(a.env) || err != nil): // the terminal is at the machine where the person sits
		if clipboard.CopyByTmux(ctx, environ.WithoutSecrets(a.env), text) == nil {
			a.say("tmux was asked to put the token into the clipboard of the terminal around it.\n" +
				"It stays there until you copy something else.")
			return nil
		}
		_, _ = fmt.Fprint(a.stderr, clipboard.Sequence(text))
		a.say("The terminal was asked to put the token into its clipboard (OSC 52).\n" +
			"It stays there until you copy something else.")
		return nil
	case err != nil:
		return noClipboard(err)
	}
	if err := board.Copy(ctx, text); err != nil {
		return fmt.Errorf("the clipboard: %w", err)
	}
	cmd, err := a.apartCommand("clear-clipboard", "--after", copyLife.String())
	if err == nil {
		err = startWith(cmd, text)
	}
	if err != nil {
		a.say("The token is in the clipboard (%s), and stays there: %v", board.Name(), err)
		return nil
	}
	a.say("The token is in the clipboard (%s) for %d seconds.", board.Name(), int(copyLife.Seconds()))
	return nil
}

// checkClipboard refuses a copy that can't be made. It comes before the token, which would be renewed, and noted as
// handed out, for nothing.
func (a *app) checkClipboard() error {
	if _, err := clipboard.Find(environ.WithoutSecrets(a.env)); err != nil && !terminal.Is(a.stderr) {
		return noClipboard(err)
	}
	return nil
}

func noClipboard(err error) error {
	return fmt.Errorf("%w: install wl-clipboard, xclip or xsel, or leave --copy out", err)
}

// startWith starts a process that goes on by itself, and gives it a text through a pipe.
func startWith(cmd *exec.Cmd, text string) error {
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = io.WriteString(pipe, text)
	return errors.Join(err, pipe.Close())
}

// clearClipboard is the command of the process that takes a token out of the clipboard.
func (a *app) clearClipboard() *cobra.Command {
	var after time.Duration
	cmd := &cobra.Command{
		Use: "clear-clipboard", Hidden: true, Args: noArgs,
		Short: "Empty the clipboard if it holds what is on stdin, for another loopkey process",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := string(a.readErrand())
			if text == "" {
				return fmt.Errorf("%w: clear-clipboard is for loopkey itself", errUsage)
			}
			board, err := clipboard.Find(a.env)
			if err != nil {
				return err
			}
			if err := clock.Wait(cmd.Context(), after); err != nil { // at the end of a session it is cleared at once
				_, clearErr := board.Clear(context.WithoutCancel(cmd.Context()), text)
				return errors.Join(err, clearErr)
			}
			_, err = board.Clear(cmd.Context(), text)
			return err
		},
	}
	cmd.Flags().DurationVar(&after, "after", 0, "how long to wait")
	return cmd
}
