// Package private keeps a program's files the user's own. It makes folders that no other user can enter, and reads no
// file that another user may have put there.
package private

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Read reads a file that only this user can have written. It reads limit bytes at most.
func Read(path string, limit int64) ([]byte, error) {
	f, _, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// Open opens a file for reading that only this user can have written.
func Open(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|NoLink, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no regular file", path)
	case Exposed(info, 0o022) != "":
		err = fmt.Errorf("%s %s", path, Exposed(info, 0o022))
	default:
		return f, info, nil
	}
	_ = f.Close()
	return nil, nil, err
}

// ErrNotRegular says that a path leads to a folder, a pipe or a device.
var ErrNotRegular = errors.New("it is no regular file")

// OpenRegular opens a regular file for reading, also through a link, whoever has written it. It never waits for the
// other end of a pipe: whatever is no regular file is ErrNotRegular.
func OpenRegular(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // opening a device may do something by itself
		return nil, nil, ErrNotRegular
	}
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// ReadRegular reads a regular file as OpenRegular opens it, and refuses one of more than limit bytes. Its errors lack
// the path, for the caller names it.
func ReadRegular(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, info, err := OpenRegular(path)
	if err != nil {
		return nil, nil, WithoutPath(err)
	}
	defer f.Close()
	content, err := ReadLimited(f, limit)
	return content, info, err
}

// IsRegular reports whether a path is that of a regular file, also through a link.
func IsRegular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// ReadLimited returns what can be read from r, and refuses more than limit bytes. Its errors lack a file's path.
func ReadLimited(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, WithoutPath(err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("it is larger than %d KiB", limit>>10)
	}
	return content, nil
}

// WithoutPath returns an error of a file, or of a file that was to take another's place, without their paths.
func WithoutPath(err error) error {
	if e := new(fs.PathError); errors.As(err, &e) {
		return e.Err
	}
	if e := new(os.LinkError); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Replace writes a file that is this user's alone, whole or not at all. A link in its place is replaced, not followed.
func Replace(path string, data []byte) error {
	return replace(path, data, func(*os.File) error { return nil })
}

// ReplaceAs is Replace for a file that is the user's work, such as another program's configuration: it has a mode of
// its own, and is on the disk before it takes the place of the old one.
func ReplaceAs(path string, data []byte, mode fs.FileMode) error {
	return replace(path, data, func(f *os.File) error { return errors.Join(f.Chmod(mode), f.Sync()) })
}

// replace calls finish before the new file is closed.
func replace(path string, data []byte, finish func(*os.File) error) error {
	dir, name := filepath.Split(path)
	sweep(dir, name)
	f, err := os.CreateTemp(filepath.Dir(path), name+".*"+temporary) // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err = f.Write(data); err == nil {
		err = finish(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

const (
	temporary  = ".tmp"
	abandoned  = 10 * time.Minute // the age at which no process is still writing a temporary file
	mostInside = 1000             // names that are read of a folder
)

// sweep removes the temporary files that killed processes left beside a file. It leaves a folder alone that others can
// write in.
func sweep(dir, name string) {
	dir = filepath.Clean(dir)
	folder, err := os.Open(dir) //nolint:forbidigo // a folder
	if err != nil {
		return
	}
	defer folder.Close()
	if info, err := folder.Stat(); err != nil || Exposed(info, 0o022) != "" {
		return
	}
	names, _ := folder.Readdirnames(mostInside)
	for _, left := range names {
		random, ours := strings.CutPrefix(left, name+".")
		random, ends := strings.CutSuffix(random, temporary)
		if !ours || !ends || strings.Trim(random, "0123456789") != "" { // os.CreateTemp puts digits there
			continue
		}
		path := filepath.Join(dir, left)
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || Exposed(info, 0o077) != "" {
			continue
		}
		// A file of the future is as old as its clock was wrong.
		if time.Since(info.ModTime()).Abs() > abandoned {
			_ = os.Remove(path)
		}
	}
}

// Socket returns nil if path is a socket of this user, and otherwise why not: it is no socket, or another user made it
// or could put another one in its place.
func Socket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket && runtime.GOOS != "windows" { // where a socket has no type of its own
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

// Exposed returns in words that a file or folder belongs to another user, or that its mode has one of bits. It returns
// "" if neither is so.
func Exposed(info fs.FileInfo, bits fs.FileMode) string { return exposed(info, bits) }

// Foreign reports whether a file or folder belongs to neither this user nor root, so that another user decides what it
// holds.
func Foreign(info fs.FileInfo) bool { return foreign(info) }

// Keeps returns "" if other users can't rename or replace what this user makes in a folder, or in the one that a link
// leads to. Otherwise it returns why they can.
func Keeps(path string) (why string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err.Error()
	case !info.IsDir():
		return path + " is no folder"
	case Foreign(info):
		return path + " belongs to another user"
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return path + " can be written in by others"
	}
	return ""
}
