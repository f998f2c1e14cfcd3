package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Why Dir refuses a folder: the reasons of a FolderError.
var (
	ErrHomeOfAnother    = errors.New("root would make it in another user's folder")
	ErrLinkOfAnother    = errors.New("it is another user's link")
	ErrFolderOfAnother  = errors.New("it is another user's folder")
	ErrWritableByOthers = errors.New("others can write in it")
)

// A FolderError says that a folder is not the user's alone. It wraps Reason.
type FolderError struct {
	Path, Why string
	Reason    error
}

func (e *FolderError) Error() string { return e.Path + " " + e.Why }

// Unwrap returns e.Reason.
func (e *FolderError) Unwrap() error { return e.Reason }

// Dir makes a folder, and those above it, that no other user can enter. A folder that is there already is closed to
// others. It is refused if it belongs to another user or if others can write in it, because what is in it may be
// theirs. Another user's link in its place is refused too: it would choose which of this user's folders is closed and
// written in.
//
// Root makes no folder in one of another user: under sudo with the user's HOME, what root makes there would be closed
// to the user from then on.
//
// What it refuses is a *FolderError.
func Dir(path string) error {
	if owner := othersAbove(path, false); owner != "" {
		return homeOfAnother(owner)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() == fs.ModeSymlink {
		if Foreign(info) {
			return &FolderError{Path: path, Why: "is a link that another user made", Reason: ErrLinkOfAnother}
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return err
	}
	if why := Exposed(info, 0); why != "" {
		return &FolderError{Path: path, Why: why, Reason: ErrFolderOfAnother}
	}
	if why := Exposed(info, 0o022); why != "" {
		return &FolderError{Path: path, Why: why, Reason: ErrWritableByOthers}
	}
	if Exposed(info, 0o077) != "" {
		return os.Chmod(path, 0o700) //nolint:gosec // a folder
	}
	return nil
}

// OwnPlace returns a *FolderError if root would make files in a folder of another user. What root makes there, also in
// place of a file of that user's, would be closed to the user from then on.
func OwnPlace(folder string) error {
	if owner := othersAbove(folder, true); owner != "" {
		return homeOfAnother(owner)
	}
	return nil
}

func homeOfAnother(owner string) error {
	return &FolderError{Path: owner, Why: "belongs to another user", Reason: ErrHomeOfAnother}
}

// othersAbove returns the folder in which root would have to make path, if it belongs to another user. within says that
// root makes something in path itself too. Of any other user the system itself asks for the permission.
func othersAbove(path string, within bool) string {
	if os.Geteuid() != 0 {
		return ""
	}
	for making := within; ; making = true {
		info, err := os.Stat(path)
		if err == nil && making && Foreign(info) {
			return path
		}
		above := filepath.Dir(path)
		if err == nil || above == path {
			return ""
		}
		path = above
	}
}
