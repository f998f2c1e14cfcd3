// Package private keeps what lies in loopkey's folders this person's own: it
// makes folders that nobody else can enter, and reads no file that somebody else
// may have put there.
package private

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Dir makes the folder, and those above it, so that nobody else can enter it. One
// that is there is closed to others; one that others can write in, or that is not
// this user's, is refused, since what lies in it may be theirs.
func Dir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if why := Exposed(info, 0); why != "" {
		return fmt.Errorf("%s %s: run loopkey as that user, or move the folder away", path, why)
	}
	if why := Exposed(info, 0o022); why != "" {
		return fmt.Errorf("%s %s: look that nothing strange is in it, then run chmod 700 %s", path, why, path)
	}
	if Exposed(info, 0o077) != "" {
		return os.Chmod(path, 0o700) //nolint:gosec // a folder
	}
	return nil
}

// Read reads a file of at most limit bytes, which only this user can have written. A
// longer one is cut off.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|NoLink, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if why := Exposed(info, 0o022); why != "" {
		return nil, fmt.Errorf("%s %s", path, why)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// Replace writes a file of this user's alone, whole or not at all. A link in its
// place is replaced, not followed.
func Replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "*.tmp") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Socket says why a socket can't be trusted to be this user's: it is none, or somebody
// else made it or could put another in its place.
func Socket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket && runtime.GOOS != "windows" { // there it is no type of its own
		return fmt.Errorf("%s is no socket", path)
	}
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if why := cmp.Or(Exposed(info, 0), Exposed(folder, 0o022)); why != "" {
		return fmt.Errorf("%s %s", path, why)
	}
	return nil
}

// Exposed says in words that a file or folder is another user's, or that others can do
// with it what the bits of mode say; "" if neither.
func Exposed(info fs.FileInfo, bits fs.FileMode) string { return exposed(info, bits) }
