package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/loopkey/loopkey/internal/private"
)

const (
	workFactor    = 15 // of scrypt, as a power of two: 74 ms; age's own 18 takes 0.65 s at each call
	maxWorkFactor = 18 // of a file made by hand with age
	maxFile       = 2*maxContent + 64<<10
	extension     = ".age"
)

// File returns a store of files in dir, one a record, encrypted by age under a
// passphrase (scrypt). They lie with mode 0600 in a directory with mode 0700,
// which Save makes; a symbolic link, another user's file or a wider mode is
// refused.
//
// The passphrase is asked for when it is first needed and kept while it is
// right; confirm is set when there is no file yet that could tell a wrong one. A
// wrong passphrase is ErrUnavailable, a damaged file ErrCorrupt. Head costs as
// much as Load; a file that is as it was last time is not decrypted again.
func File(dir string, passphrase func(ctx context.Context, confirm bool) (string, error)) Store {
	return &files{dir: dir, ask: passphrase, seen: map[string]decrypted{}, reserved: map[string]*os.File{}, turn: make(chan struct{}, 1)}
}

type files struct {
	dir string
	ask func(ctx context.Context, confirm bool) (string, error)

	turn       chan struct{}        // guards the rest: whoever waits while another is asked for the passphrase has a limit too
	passphrase string               // "": not known yet
	right      bool                 // it opened a file, or made one
	seen       map[string]decrypted // by name, what was last read or written
	reserved   map[string]*os.File  // by name, the temporary file of the next Save
}

type decrypted struct {
	file   []byte
	record Record
}

func (f *files) Head(ctx context.Context, name string) (Record, error) { return f.Load(ctx, name) }

func (f *files) Load(ctx context.Context, name string) (Record, error) {
	if err := checkName(name); err != nil {
		return Record{}, err
	}
	if err := f.begin(ctx); err != nil {
		return Record{}, err
	}
	defer f.end()
	dir, err := f.open()
	if err != nil {
		return Record{}, err
	}
	defer dir.Close()
	return f.load(ctx, dir, name)
}

func (f *files) load(ctx context.Context, dir *os.Root, name string) (Record, error) {
	file, err := f.read(dir, name+extension)
	if err != nil {
		return Record{}, err
	}
	if last, ok := f.seen[name]; ok && bytes.Equal(last.file, file) {
		return last.record.clone(), nil
	}
	if err := f.know(ctx, false); err != nil {
		return Record{}, err
	}
	if ctx.Err() != nil {
		return Record{}, late(ctx)
	}
	plain, err := f.decrypt(file, name+extension)
	if err != nil {
		return Record{}, err
	}
	r, err := fromOne(plain)
	if err != nil {
		return Record{}, fmt.Errorf("%s: %w", f.path(name+extension), err)
	}
	f.seen[name] = decrypted{file, r}
	return r.clone(), nil
}

func (f *files) Save(ctx context.Context, name string, r Record) error {
	if err := checkName(name); err != nil {
		return err
	}
	entry, err := one(r)
	if err != nil {
		return err
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.end()
	dir, err := f.openFor(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := f.prove(ctx, dir, name); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return late(ctx)
	}
	file, err := f.encrypt(entry)
	if err != nil {
		return err
	}
	if err := f.replace(dir, name, file); err != nil {
		return f.unwritable(name, err)
	}
	f.right = true
	f.seen[name] = decrypted{file, r.clone()}
	return nil
}

// openFor opens the directory to write a file there, and makes it where there is none.
func (f *files) openFor(name string) (*os.Root, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, f.unavailable(ReasonFolderReadOnly, f.dir, "it can't be made: "+reason(err), err)
	}
	dir, err := f.open()
	if err != nil {
		return nil, err
	}
	if err := f.inPlace(dir, name+extension); err != nil && !errors.Is(err, ErrNotFound) {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

func (f *files) unwritable(name string, err error) error {
	path := f.path(name + extension)
	return f.unavailable(ReasonUnwritable, path, path+" can't be written: "+reason(err), err)
}

// Reserve implements Reserver. It makes sure of the passphrase, and writes as much
// as the next file will surely not need.
func (f *files) Reserve(ctx context.Context, name string) (release func(), err error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	defer f.end()
	dir, err := f.openFor(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := f.prove(ctx, dir, name); err != nil {
		return nil, err
	}
	size := int64(16 << 10)
	if info, err := dir.Stat(name + extension); err == nil {
		size += 2 * info.Size()
	}
	file, err := create(dir, temporary(name))
	if err != nil {
		return nil, f.unwritable(name, err)
	}
	if _, err := file.Write(make([]byte, size)); err != nil {
		return nil, f.unwritable(name, errors.Join(err, file.Close(), dir.Remove(temporary(name))))
	}
	f.reserved[name] = file
	return func() { f.release(name, file) }, nil
}

func (f *files) release(name string, file *os.File) {
	f.turn <- struct{}{}
	defer f.end()
	if f.reserved[name] != file { // a Save has used it
		return
	}
	delete(f.reserved, name)
	defer file.Close()
	dir, err := f.open()
	if err != nil {
		return
	}
	defer dir.Close()
	mine, err := file.Stat()
	if there, lstatErr := dir.Lstat(temporary(name)); err == nil && lstatErr == nil && os.SameFile(mine, there) {
		_ = dir.Remove(temporary(name))
	}
}

// Delete needs no passphrase.
func (f *files) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.end()
	delete(f.seen, name)
	dir, err := f.open()
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, file := range []string{temporary(name), name + extension} { // a link is removed, not what it names
		if err := dir.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f.unavailable(ReasonUndeletable, f.path(file), f.path(file)+" can't be removed: "+reason(err), err)
		}
	}
	return f.sync(dir)
}

func (f *files) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return late(ctx)
	}
	select {
	case f.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return late(ctx)
	}
}

func (f *files) end() { <-f.turn }

func (f *files) path(file string) string { return filepath.Join(f.dir, file) }

// temporary is where the next file is written. Its name is always the same, so a
// crash leaves one at most, and the next write replaces it.
func temporary(name string) string { return "." + name + ".new" }

func (f *files) unavailable(r Reason, path, why string, err error) error {
	return &UnavailableError{What: "the encrypted file", Why: why, Reason: r, Path: path, Err: err}
}

func (f *files) unreadable(path string, err error) error {
	return f.unavailable(ReasonUnreadable, path, path+" can't be read: "+reason(err), err)
}

// reason is an error of the file system without the path, which the words around it name.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// checkPrivate refuses a directory that others can get at.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return &UnavailableError{What: dir, Why: reason(err), Reason: ReasonNoFolder, Path: dir, Err: err}
	}
	return refuse(dir, info, fs.ModeDir)
}

// refuse says what is wrong with a file or directory that may hold sessions.
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

// open opens the directory; ErrNotFound where there is none.
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
	// What was opened is asked, so that nothing can be put in its place.
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

// inPlace refuses anything but a private regular file.
func (f *files) inPlace(dir *os.Root, file string) error {
	info, err := dir.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	if err != nil {
		return f.unreadable(f.path(file), err)
	}
	return refuse(f.path(file), info, 0)
}

func (f *files) read(dir *os.Root, name string) ([]byte, error) {
	if err := f.inPlace(dir, name); err != nil {
		return nil, err
	}
	file, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, f.unreadable(f.path(name), err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		err = refuse(f.path(name), info, 0)
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

// replace writes the file so that a crash leaves the old one or the new one.
func (f *files) replace(dir *os.Root, name string, content []byte) error {
	next := temporary(name)
	file, err := f.takeReserved(dir, name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(content, 0)
	err = errors.Join(err, file.Truncate(int64(len(content))))
	err = errors.Join(err, file.Sync()) // before the rename: else a power cut could leave an empty file
	err = errors.Join(err, file.Close())
	if err == nil {
		err = dir.Rename(next, name+extension)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(next))
	}
	return f.sync(dir)
}

// takeReserved is the temporary file that Reserve made, or a new one.
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

// create makes a file anew, whatever lies in its place.
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

// know asks for the passphrase unless it is known.
func (f *files) know(ctx context.Context, confirm bool) error {
	if f.passphrase != "" {
		return nil
	}
	passphrase, err := f.ask(ctx, confirm)
	if err != nil {
		return err
	}
	if passphrase == "" {
		return f.unavailable(ReasonNoPassphrase, "", "the passphrase is empty", nil)
	}
	f.passphrase = passphrase
	return nil
}

// prove makes sure that the passphrase opens what is in the directory, so that a
// slip of the fingers does not lock a new file.
func (f *files) prove(ctx context.Context, dir *os.Root, name string) error {
	if f.right {
		return nil
	}
	all, err := fs.Glob(dir.FS(), "*"+extension)
	if err != nil {
		return err
	}
	if err := f.know(ctx, len(all) == 0); err != nil {
		return err
	}
	for _, file := range append([]string{name + extension}, all...) {
		_, err := f.load(ctx, dir, strings.TrimSuffix(file, extension))
		switch {
		case err == nil && f.right:
			return nil
		case errors.Is(err, ErrUnavailable) && f.passphrase == "": // it was the wrong one
			return err
		}
	}
	return nil
}

func (f *files) encrypt(plain string) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(f.passphrase)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipient)
	if err == nil {
		_, err = io.WriteString(w, plain)
		err = errors.Join(err, w.Close())
	}
	return b.Bytes(), err
}

func (f *files) decrypt(content []byte, name string) (string, error) {
	identity, err := age.NewScryptIdentity(f.passphrase)
	if err != nil {
		return "", err
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(content), identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		f.passphrase = "" // the next call may ask again
		return "", f.unavailable(ReasonWrongPassphrase, f.path(name), "the passphrase does not open "+f.path(name), nil)
	}
	var plain []byte
	if err == nil {
		f.right = true
		plain, err = io.ReadAll(io.LimitReader(r, maxFile))
	}
	if err != nil { // age's words may quote the file
		return "", fmt.Errorf("%s: %w", f.path(name), corrupt("it is damaged or cut short"))
	}
	return string(plain), nil
}
