package keystore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/loopkey/loopkey/internal/private"
)

// openFor opens the directory to write a file there. It makes a directory that is not there.
func (f *files) openFor() (*os.Root, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, f.unavailable(ReasonFolderReadOnly, f.dir, "it can't be made: "+reason(err), err)
	}
	return f.open()
}

// open opens the directory. It returns ErrNotFound if there is none.
func (f *files) open() (*os.Root, error) {
	switch err := checkPrivate(f.dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotFound
	case err != nil:
		return nil, err
	}
	dir, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, f.unavailable(ReasonUnreadable, f.dir, f.dir+" can't be opened: "+reason(err), err)
	}
	// The open directory is checked too, because the path may lead elsewhere by now.
	info, err := dir.Stat(".")
	if err == nil {
		err = refuse(f.dir, info, fs.ModeDir)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// checkPrivate refuses a directory that other users can get at.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return &UnavailableError{What: dir, Why: reason(err), Reason: ReasonNoFolder, Path: dir, Err: err}
	}
	return refuse(dir, info, fs.ModeDir)
}

// refuse returns what is wrong with a file or directory that may hold sessions, or nil.
func refuse(path string, info fs.FileInfo, kind fs.FileMode) error {
	refusal := func(r Reason, why string) error {
		return &UnavailableError{What: path, Why: "it " + why, Reason: r, Path: path}
	}
	exposed := private.Exposed(info, 0o077)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return refusal(ReasonLink, "is a symbolic link")
	case info.Mode().Type() != kind && kind == fs.ModeDir:
		return refusal(ReasonInTheWay, "is no directory")
	case info.Mode().Type() != kind:
		return refusal(ReasonInTheWay, "is no regular file")
	case exposed != "" && kind == fs.ModeDir:
		return refusal(ReasonExposedFolder, exposed)
	case exposed != "":
		return refusal(ReasonExposedFile, exposed)
	}
	return nil
}

// inPlace refuses anything but a regular file that is private. Its errors wrap ErrCorrupt too, because what is there
// can't be read as it is, and the next Save replaces it.
func (f *files) inPlace(dir *os.Root, file string) error {
	info, err := dir.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return f.unreadable(f.path(file), err)
	}
	return f.refuseFile(file, info)
}

func (f *files) refuseFile(file string, info fs.FileInfo) error {
	switch err := refuse(f.path(file), info, 0); {
	case err != nil && info.Mode().Type()&^fs.ModeSymlink != 0:
		return fmt.Errorf("%s: %w", f.path(file), corrupt("it is no regular file"))
	case err != nil:
		return unreadable{err}
	case info.Size() > maxFile:
		return fmt.Errorf("%s: %w", f.path(file), corrupt("it is too large"))
	}
	return nil
}

// An unreadable is why a file can't be used as it is. It wraps ErrCorrupt too.
type unreadable struct{ error }

func (e unreadable) Unwrap() []error { return []error{e.error, ErrCorrupt} }

func (f *files) read(dir *os.Root, name string) ([]byte, error) {
	if err := f.inPlace(dir, name); err != nil {
		return nil, err
	}
	file, err := dir.OpenFile(name, os.O_RDONLY|private.NoLink, 0) // a pipe that took its place is not waited for
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, f.unreadable(f.path(name), err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		err = f.refuseFile(name, info)
	}
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, f.unreadable(f.path(name), err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s: %w", f.path(name), corrupt("it is too large"))
	}
	return content, nil
}

// replace writes the record's file so that a crash leaves the old one or the new one.
func (f *files) replace(dir *os.Root, name string, content []byte) error {
	next := temporary(name)
	file, err := f.takeReserved(dir, name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(content, 0)
	err = errors.Join(err, file.Truncate(int64(len(content))))
	err = errors.Join(err, file.Sync()) // without it a power cut after the rename could leave an empty file
	err = errors.Join(err, file.Close())
	if err == nil {
		err = clearPlace(dir, name+extension)
	}
	if err == nil {
		err = dir.Rename(next, name+extension)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(next))
	}
	return f.sync(dir)
}

// clearPlace removes a directory that is in the place of a file. One that is not empty is only moved aside, because it
// is not known whose files are in it.
func clearPlace(dir *os.Root, file string) error {
	if info, err := dir.Lstat(file); err != nil || !info.IsDir() || dir.Remove(file) == nil {
		return nil //nolint:nilerr // the rename that comes next replaces everything else
	}
	return dir.Rename(file, file+".moved-"+strings.ToLower(rand.Text()))
}

// takeReserved returns the temporary file that Reserve made, or a new one.
func (f *files) takeReserved(dir *os.Root, name string) (*os.File, error) {
	if file := f.reserved[name]; file != nil {
		delete(f.reserved, name)
		mine, err := file.Stat()
		there, lstatErr := dir.Lstat(temporary(name))
		if err == nil && lstatErr == nil && os.SameFile(mine, there) {
			return file, nil
		}
		_ = file.Close()
	}
	return create(dir, temporary(name))
}

// create makes a new file in place of whatever has its name.
func create(dir *os.Root, file string) (*os.File, error) {
	if err := dir.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return dir.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (f *files) sync(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(syncDir(d), d.Close())
}

func (f *files) path(file string) string { return filepath.Join(f.dir, file) }

// temporary returns the name under which the record's next file is written. It is always the same name, so a crash
// leaves one such file at most, and the next write replaces it.
func temporary(name string) string { return "." + name + ".new" }

// The names of a lease's files: of its lock, of the note, and of the note that is being written.
func leaseOf(name string) string  { return "." + name + ".lock" }
func noteFile(name string) string { return "." + name + ".note" }
func nextNote(name string) string { return noteFile(name) + ".new" }

// setNote replaces the note or removes it.
func setNote(dir *os.Root, name string, note []byte) error {
	if len(note) == 0 {
		if err := dir.Remove(noteFile(name)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	file, err := create(dir, nextNote(name))
	if err != nil {
		return err
	}
	_, err = file.Write(note)
	if err = errors.Join(err, file.Close()); err == nil {
		err = clearPlace(dir, noteFile(name))
	}
	if err == nil {
		err = dir.Rename(nextNote(name), noteFile(name))
	}
	if err != nil {
		return errors.Join(err, dir.Remove(nextNote(name)))
	}
	return nil
}

func (f *files) unavailable(r Reason, path, why string, err error) error {
	return &UnavailableError{What: "the encrypted file", Why: why, Reason: r, Path: path, Err: err}
}

func (f *files) unreadable(path string, err error) error {
	return unreadable{f.unavailable(ReasonUnreadable, path, path+" can't be read: "+reason(err), err)}
}

func (f *files) unwritable(name string, err error) error {
	path := f.path(name + extension)
	return f.unavailable(ReasonUnwritable, path, path+" can't be written: "+reason(err), err)
}

// reason returns the text of an error of the file system without the path, which the words around it name.
func reason(err error) string {
	if e := new(fs.PathError); errors.As(err, &e) {
		return e.Err.Error()
	}
	if e := new(os.LinkError); errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}
