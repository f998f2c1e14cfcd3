package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

const (
	workFactor    = 15 // of scrypt, as a power of two: 74 ms a call, where age's default of 18 takes 0.65 s
	maxWorkFactor = 18 // of a file that the user made with age
	maxFile       = 2*maxContent + 64<<10
	extension     = ".age"
)

// FileOptions say how an encrypted file is opened.
type FileOptions struct {
	// Passphrase asks for the passphrase. It is called when the passphrase is first needed, and again after a wrong one.
	// With confirm it is a new one, which a person should type twice: no record exists whose opening would show a typing
	// error.
	Passphrase func(ctx context.Context, confirm bool) (string, error)
	// Given is a passphrase that nobody has to be asked for. A wrong one opens nothing, even while the key rests.
	Given string
	// Rest is how long the key rests with the system after the passphrase opened the file: in the kernel's keyring on
	// Linux, encrypted by DPAPI on Windows, in the keychain on macOS. Until then no process of this user needs the
	// passphrase. Where the system keeps no key, and with 0, each process needs the passphrase.
	Rest time.Duration
}

// File returns a store of files in dir, one for each record. They are encrypted by age to a key that lies beside them,
// encrypted under a passphrase (scrypt). The files have mode 0600 and the directory, which Save makes, mode 0700. A
// symbolic link, another user's file or a wider mode is refused, with an error that wraps ErrUnavailable and
// ErrCorrupt. Save replaces whatever is in the place of a record's file.
//
// The store keeps the passphrase and the key until ForgetKeys is called for dir. A wrong passphrase is ErrUnavailable,
// a damaged file ErrCorrupt. Head costs as much as Load. A file that has not changed is not decrypted again.
func File(dir string, o FileOptions) Store {
	return &files{
		dir: dir, options: o, workFactor: workFactor,
		seen: map[string]decrypted{}, reserved: map[string]*os.File{}, busy: make(chan struct{}, 1),
	}
}

// An Unlocker is a Store that can keep its key with the system, so that nobody is asked for a passphrase for a while.
type Unlocker interface {
	// Unlock asks for the passphrase, even where a key rests already, and lets the key rest. It returns until when.
	// Without a record it returns ErrNotFound.
	Unlock(ctx context.Context, lifetime time.Duration) (until time.Time, err error)
}

type files struct {
	dir        string
	options    FileOptions
	workFactor int // of new files

	// busy guards the rest. It is no mutex, because a call that waits while a person types the passphrase has a limit too.
	busy       chan struct{}
	passphrase string               // "": not known yet
	right      bool                 // the passphrase opened a file, or made one
	identity   *age.X25519Identity  // nil: not known yet
	wrapped    []byte               // the file that the identity came from
	seen       map[string]decrypted // by name, what was last read or written
	reserved   map[string]*os.File  // by name, the temporary file of the next Save
	lastLock   fs.FileInfo          // of ForgetKeys, when the store was last used; nil: never
	used       bool
	locked     bool // ForgetKeys was called, and no passphrase was given since
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
	plain, file, err := f.openRecord(ctx, dir, name, file)
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
	entry, err := one(r, false)
	if err != nil {
		return err
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer f.end()
	dir, err := f.openFor()
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
	release, err := f.holdIdentity(ctx, dir)
	if err != nil {
		return err
	}
	defer release()
	file, err := f.encryptRecord(entry)
	if err != nil {
		return err
	}
	if err := f.replace(dir, name, file); err != nil {
		return f.unwritable(name, err)
	}
	f.seen[name] = decrypted{file, r.clone()}
	return nil
}

// Reserve implements Reserver. It makes sure of the passphrase and the key, and writes more bytes than the next file
// will need.
func (f *files) Reserve(ctx context.Context, name string) (release func(), err error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	defer f.end()
	dir, err := f.openFor()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := f.prove(ctx, dir, name); err != nil {
		return nil, err
	}
	release, err = f.holdIdentity(ctx, dir)
	if err != nil {
		return nil, err
	}
	release()
	size := int64(16 << 10)
	if info, err := dir.Lstat(name + extension); err == nil && info.Mode().IsRegular() && info.Size() <= maxFile {
		size += 2 * info.Size()
	}
	file, err := create(dir, temporary(name))
	if err != nil {
		return nil, f.unwritable(name, err)
	}
	_, err = file.Write(make([]byte, size))
	if err == nil {
		err = file.Sync() // some file systems say only now that there is no space
	}
	if err != nil {
		return nil, f.unwritable(name, errors.Join(err, file.Close(), dir.Remove(temporary(name))))
	}
	f.reserved[name] = file
	return func() { f.release(name, file) }, nil
}

func (f *files) release(name string, file *os.File) {
	f.busy <- struct{}{}
	defer f.end()
	if f.reserved[name] != file { // a Save has used the file
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

// Lease implements Leaser by a lock on a file beside the record's.
func (f *files) Lease(ctx context.Context, name string) (release func(), err error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	dir, err := f.openFor()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	release, err = leaseFile(ctx, f.path(leaseOf(name)))
	if err != nil && ctx.Err() == nil {
		path := f.path(leaseOf(name))
		return nil, f.unavailable(ReasonUnwritable, path, path+" can't be locked: "+reason(err), err)
	}
	return release, err
}

// Note implements Leaser. The file with the note is not encrypted. One that can't be read is none.
func (f *files) Note(ctx context.Context, name string) ([]byte, error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	dir, err := f.open()
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	note, err := f.read(dir, noteFile(name))
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		return nil, nil
	}
	return note, err
}

// SetNote implements Leaser. It does not sync the file: a note is about processes that were killed.
func (f *files) SetNote(ctx context.Context, name string, note []byte) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	dir, err := f.openFor()
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := setNote(dir, name, note); err != nil {
		return f.unwritable(name, err)
	}
	return nil
}

// Delete needs no passphrase. It leaves the empty file of the lease, and the key, which other records may need.
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
	// A link is removed, not its target.
	for _, file := range []string{temporary(name), noteFile(name), nextNote(name), name + extension} {
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
	case f.busy <- struct{}{}:
		f.noticeLock()
		return nil
	case <-ctx.Done():
		return late(ctx)
	}
}

func (f *files) end() { <-f.busy }

// know asks for the passphrase if it is not known.
func (f *files) know(ctx context.Context, confirm bool) error {
	if f.passphrase != "" {
		return nil
	}
	passphrase := f.options.Given
	if passphrase == "" {
		if f.locked {
			return f.unavailable(ReasonFileLocked, f.dir, "it was locked", nil)
		}
		var err error
		if passphrase, err = f.options.Passphrase(ctx, confirm); err != nil {
			return err
		}
	}
	if passphrase == "" {
		return f.unavailable(ReasonNoPassphrase, "", "the passphrase is empty", nil)
	}
	f.passphrase = passphrase
	return nil
}

// prove makes sure that the passphrase opens the files that are in the directory, so that a typing error does not lock
// a new file.
func (f *files) prove(ctx context.Context, dir *os.Root, name string) error {
	if f.right {
		return nil
	}
	all, err := fs.Glob(dir.FS(), "*"+extension)
	if err != nil {
		return err
	}
	if err := f.unlock(ctx, dir, len(all) == 0); !errors.Is(err, errNoIdentity) {
		return err
	}
	older := slices.ContainsFunc(all, func(file string) bool { // one that shows whether the passphrase is right
		content, err := f.read(dir, file)
		return err == nil && bytes.HasPrefix(content, []byte(scryptRecord))
	})
	if err := f.know(ctx, !older); err != nil {
		return err
	}
	for _, file := range append([]string{name + extension}, all...) { // those of an older version
		_, err := f.load(ctx, dir, strings.TrimSuffix(file, extension))
		switch {
		case err == nil && f.right:
			return nil
		case errors.Is(err, ErrUnavailable) && f.passphrase == "": // decrypt found it wrong
			return err
		}
	}
	return nil
}

func (f *files) encryptUnderPassphrase(plain string) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(f.passphrase)
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(f.workFactor)
	return seal(plain, recipient)
}

// decrypt decrypts what is encrypted under the passphrase.
func (f *files) decrypt(content []byte, name string) (string, error) {
	identity, err := age.NewScryptIdentity(f.passphrase)
	if err != nil {
		return "", err
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	r, err := age.Decrypt(bytes.NewReader(content), identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		f.passphrase = "" // the next call may ask again
		return "", f.wrongPassphrase(name)
	}
	var plain []byte
	if err == nil {
		f.right = true
		plain, err = io.ReadAll(io.LimitReader(r, maxFile))
	}
	if err != nil { // the text of age's error may quote the file
		return "", fmt.Errorf("%s: %w", f.path(name), corrupt("it is damaged or cut short"))
	}
	return string(plain), nil
}
