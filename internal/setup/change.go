package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/loopkey/loopkey/internal/private"
)

// A Change is what would become of a configuration file.
type Change struct {
	Path          string // of the file itself, where it was reached through a link
	before, after string
	mode          fs.FileMode
	isNew         bool
}

// fileLimit is how many bytes a configuration may have.
const fileLimit = 4 << 20

// Plan returns the change that puts loopkey into a tool's configuration, or takes it out. path is the file; "" is the
// tool's usual one.
func (t *Tool) Plan(o Options, path string, undo bool) (Change, error) {
	if path == "" {
		path = t.File(o)
	}
	return plan(path, func(content string) (string, error) { return t.changed(content, o, undo) })
}

// PlanText returns the change of any file by a function.
func PlanText(path string, edit func(content string) (string, error)) (Change, error) {
	return plan(path, edit)
}

func plan(path string, edit func(string) (string, error)) (Change, error) {
	c := Change{Path: path, mode: 0o600}
	if real, err := filepath.EvalSymlinks(path); err == nil { // of somebody who keeps such files in one repository
		c.Path = real
	}
	content, info, err := private.ReadRegular(c.Path, fileLimit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.isNew = true
	case err != nil:
		return c, fmt.Errorf("%s can't be read: %w: %w", path, err, ErrCannotEdit)
	default:
		c.before, c.mode = string(content), info.Mode().Perm()
	}
	if c.after, err = edit(c.before); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// IsEmpty reports whether the file stays as it is.
func (c Change) IsEmpty() bool { return c.before == c.after }

// Lines returns the lines that change, each after "- " or "+ ".
func (c Change) Lines() []string {
	before, after := split(c.before), split(c.after)
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	var lines []string
	for _, line := range before {
		lines = append(lines, "- "+line)
	}
	for _, line := range after {
		lines = append(lines, "+ "+line)
	}
	return lines
}

func split(content string) []string {
	if content == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(content, "\n"), "\n")
}

// ErrChanged says that a configuration is not what a change was made for.
var ErrChanged = errors.New("another program has changed it meanwhile, so nothing was written")

// ErrNotWritten says that the system refuses to write a configuration: the disk is full, or the folder is read-only.
var ErrNotWritten = errors.New("the configuration can't be written")

// notWritten names the path once: the errors of the system name it too, or that of a temporary file.
func notWritten(path string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrNotWritten, path, private.WithoutPath(err))
}

// Write makes the change. It returns the path of a copy of the file as it was, or "" if there was none. A file that has
// changed since, as while the user was asked, stays as it is: the error wraps ErrChanged.
func (c Change) Write() (backup string, err error) {
	if now, _, err := private.ReadRegular(c.Path, fileLimit); err == nil && (c.isNew || string(now) != c.before) {
		return "", fmt.Errorf("%s: %w", c.Path, ErrChanged)
	}
	if err := private.OwnPlace(filepath.Dir(c.Path)); err != nil {
		return "", fmt.Errorf("the folder of the configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return "", notWritten(filepath.Dir(c.Path), err)
	}
	if !c.isNew {
		if backup, err = Backup(c.Path); err != nil {
			return "", err
		}
	}
	if c.isNew && c.after == "" {
		return "", nil
	}
	return backup, replace(c.Path, []byte(c.after), c.mode)
}

// Backup makes a copy of a file beside it, and returns the path of that.
func Backup(path string) (string, error) {
	if err := private.OwnPlace(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("the folder of the configuration: %w", err)
	}
	content, _, err := private.ReadRegular(path, fileLimit)
	if err != nil {
		return "", fmt.Errorf("a copy of the configuration: %w", err)
	}
	backup := path + ".loopkey-backup"
	if err := replace(backup, content, 0o600); err != nil {
		return "", err
	}
	return backup, nil
}

func replace(path string, content []byte, mode fs.FileMode) error {
	if err := private.ReplaceAs(path, content, mode); err != nil {
		return notWritten(path, err)
	}
	return nil
}
