package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/loopkey/loopkey/internal/private"
)

// ErrInTheWay says that something else has the name of a link.
var ErrInTheWay = errors.New("something else is there")

// Link makes path lead to the program: a link, and on Windows a hard link or a copy. One that is there already stays.
// made reports whether there was none.
func Link(program, path string) (made bool, err error) {
	if isLink(program, path) {
		return false, nil
	}
	if _, err := os.Lstat(path); err == nil {
		return false, fmt.Errorf("%w: %s", ErrInTheWay, path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("the link: %w", err)
	}
	if err := private.OwnPlace(filepath.Dir(path)); err != nil {
		return false, fmt.Errorf("the link's folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a folder of programs
		return false, fmt.Errorf("the link's folder: %w", err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Symlink(program, path); err != nil {
			return false, fmt.Errorf("the link: %w", err)
		}
		return true, nil
	}
	if os.Link(program, path) == nil { // needs no rights, and both on one drive
		return true, nil
	}
	content, err := os.ReadFile(program) //nolint:forbidigo // the one that runs
	if err != nil {
		return false, fmt.Errorf("the copy: %w", err)
	}
	return true, replace(path, content, 0o755)
}

// Unlink removes a link that Link made. Anything else stays. removed reports whether there was one.
func Unlink(program, path string) (removed bool, err error) {
	if !isLink(program, path) {
		return false, nil
	}
	if err := os.Remove(path); err != nil {
		return false, fmt.Errorf("the link: %w", err)
	}
	return true, nil
}

// isLink reports whether path leads to the program, under a name that is not the program's own.
func isLink(program, path string) bool {
	if filepath.Clean(program) == filepath.Clean(path) {
		return false
	}
	ours, err := os.Stat(program)
	if err != nil {
		return false
	}
	theirs, err := os.Stat(path)
	return err == nil && (os.SameFile(ours, theirs) ||
		runtime.GOOS == "windows" && ours.Size() == theirs.Size())
}
