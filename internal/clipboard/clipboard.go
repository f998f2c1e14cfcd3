// Package clipboard puts a text into the user's clipboard, and takes it out again: on Windows by its API, else by the
// programs that systems have for that. The text goes to those through pipes: other users can see arguments.
package clipboard

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/environ"
)

// ErrNone says that there is no program for the clipboard here.
var ErrNone = errors.New("there is no program for the clipboard here")

// A Clipboard is the user's clipboard.
type Clipboard struct {
	copies, pastes []string // of programs; nil: the API of Windows is called
	hides          []string // copies, and asks clipboard managers to keep no copy; older programs refuse it
	clears         []string // nil: copies, given nothing
	env            []string
}

// limit is how long a program of the clipboard may take.
const limit = 10 * time.Second

// Find returns the clipboard of the desktop that an environment belongs to.
func Find(env []string) (*Clipboard, error) {
	has := func(variable string) bool { return environ.Lookup(env, variable) != "" }
	var choices []Clipboard
	switch {
	case runtime.GOOS == "windows":
		return &Clipboard{}, nil
	case environ.InWSL(env):
		choices = append(choices, Clipboard{
			copies: []string{"clip.exe"}, pastes: []string{"powershell.exe", "-NoProfile", "-Command", "Get-Clipboard -Raw"},
		})
	case runtime.GOOS == "darwin":
		choices = append(choices, Clipboard{copies: []string{"pbcopy"}, pastes: []string{"pbpaste"}})
	}
	if has("WAYLAND_DISPLAY") {
		choices = append(choices, Clipboard{
			copies: []string{"wl-copy", "--type", "text/plain"},                // else it has another program guess the type
			hides:  []string{"wl-copy", "--type", "text/plain", "--sensitive"}, // since wl-clipboard 2.3
			pastes: []string{"wl-paste", "--no-newline"}, clears: []string{"wl-copy", "--clear"},
		})
	}
	if has("DISPLAY") {
		choices = append(choices, Clipboard{
			copies: []string{"xclip", "-selection", "clipboard", "-in"},
			pastes: []string{"xclip", "-selection", "clipboard", "-out"},
		}, Clipboard{
			copies: []string{"xsel", "--clipboard", "--input"}, pastes: []string{"xsel", "--clipboard", "--output"},
			clears: []string{"xsel", "--clipboard", "--clear"},
		})
	}
	for _, c := range choices {
		if _, err := exec.LookPath(c.copies[0]); err == nil {
			c.env = env
			return &c, nil
		}
	}
	return nil, ErrNone
}

// Name returns the name of what copies.
func (c *Clipboard) Name() string {
	if c.copies == nil {
		return "Windows"
	}
	return c.copies[0]
}

// Copy puts a text into the clipboard. Windows is asked to keep it out of the clipboard's history and of other devices,
// and so are clipboard managers on Wayland.
func (c *Clipboard) Copy(ctx context.Context, text string) error {
	if c.copies == nil {
		return copyToWindows(ctx, text)
	}
	if c.hides != nil {
		err := c.give(ctx, c.hides, text)
		if refused := new(exec.ExitError); !errors.As(err, &refused) {
			return err
		}
	}
	return c.give(ctx, c.copies, text)
}

// Clear empties the clipboard if it still holds the text, and reports whether it did. A clipboard that can't be read is
// left alone.
func (c *Clipboard) Clear(ctx context.Context, text string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if c.copies == nil {
		return clearWindows(ctx, text)
	}
	if held, err := c.holds(ctx, text); err != nil || !held {
		return false, err
	}
	if c.clears != nil {
		if err := c.give(ctx, c.clears, ""); err != nil {
			return false, err
		}
		if held, err := c.holds(ctx, text); err != nil || !held { // an empty clipboard can't be read
			return true, nil //nolint:nilerr // so that is no error
		}
	}
	return true, c.give(ctx, c.copies, "") // Weston keeps what it is told to clear
}

// holds reports whether the clipboard holds the text.
func (c *Clipboard) holds(ctx context.Context, text string) (bool, error) {
	held, err := c.command(ctx, c.pastes).Output()
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.pastes[0], err)
	}
	return strings.TrimRight(string(held), "\r\n") == text, nil
}

// give runs a program with a text on its standard input. It has no other streams: one that stays in the background to
// serve the clipboard would hold a pipe open.
func (c *Clipboard) give(ctx context.Context, command []string, text string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := c.command(ctx, command)
	cmd.Stdin = bytes.NewReader([]byte(text))
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}

func (c *Clipboard) command(ctx context.Context, command []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // one of the table
	cmd.Env, cmd.WaitDelay = c.env, time.Second
	return cmd
}

// CopyByTmux has the tmux around put a text into the clipboard of the terminal outside of it, and keep no copy. It is
// for an environment in tmux, which does not hand on what Sequence returns unless its user said so.
func CopyByTmux(ctx context.Context, env []string, text string) error {
	if environ.Lookup(env, "TMUX") == "" {
		return ErrNone
	}
	c := Clipboard{env: env}
	// One program for both, so that a kill leaves no copy. Before tmux 3.2 there is no -w, and neither is done.
	return c.give(ctx, []string{"tmux", "load-buffer", "-w", "-b", buffer, "-", ";", "delete-buffer", "-b", buffer}, text)
}

// buffer is the name of tmux's buffer on the way to the terminal's clipboard.
const buffer = "loopkey"

// Sequence returns what a terminal has to be sent so that it puts a text into the clipboard of the machine at which its
// user sits (OSC 52). Not every terminal obeys.
func Sequence(text string) string {
	return "\x1b]52;c;" + base64.StdEncoding.EncodeToString([]byte(text)) + "\x07"
}
