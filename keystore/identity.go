package keystore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/private"
)

// The records of an encrypted file are encrypted to one identity of age (X25519). It lies beside them, encrypted under
// the passphrase. So scrypt, which makes a guess of the passphrase dear, is paid once for all records, and not at all
// while the identity rests with the system (rest.go). `age -d -i identity NAME.age` opens a record without loopkey.
//
// A record is written under a shared lock, and only while the identity that it is encrypted to is the one in the file.
// Making another identity takes the lock alone. That happens where there is none, or where there are no records, so no
// record is ever left without its identity. One that is damaged beside records is left as it is: another program
// damaged it, and a new one would take whatever is typed next for the passphrase.
//
// No record has a name by which its files could be mistaken for these: a record's end in .age or begin with a dot.
const (
	identityFile = "identity"
	identityNew  = "identity.new"  // while it is written
	identityLock = "identity.lock" // never deleted
	lockedFile   = "locked"        // its modification time says when Lock was last called
)

// scryptRecord is how a record begins that an older version wrote: under the passphrase itself.
const scryptRecord = "age-encryption.org/v1\n-> scrypt "

// errNoIdentity says that there is no identity, or another one than that of a record.
var errNoIdentity = errors.New("there is no identity")

// unlock makes sure that f.identity is the one in the directory. It takes the one that rests with the system, and else
// asks for the passphrase. It returns errNoIdentity where a Save has to make one. With free there are no records, and
// nobody is asked for a passphrase that protects nothing.
func (f *files) unlock(ctx context.Context, dir *os.Root, free bool) error {
	wrapped, err := f.readIdentity(dir)
	if free && isDamagedKey(err) {
		return errNoIdentity
	}
	if err != nil {
		return err
	}
	if f.identity != nil && bytes.Equal(f.wrapped, wrapped) {
		return nil
	}
	if key, ok := f.resting(ctx, wrapped); ok {
		passphrase := cmp.Or(f.passphrase, f.options.Given)
		if passphrase == "" || key.isOf(passphrase) {
			f.identity, f.wrapped, f.right, f.locked = key.identity, wrapped, true, false
			return nil
		}
		if !free {
			f.passphrase = "" // the next call may ask again
			return f.wrongPassphrase(identityFile)
		}
	}
	if free {
		return errNoIdentity
	}
	if err := f.know(ctx, false); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return late(ctx)
	}
	plain, err := f.decrypt(wrapped, identityFile)
	if errors.Is(err, ErrCorrupt) {
		return f.damagedKey("is damaged")
	}
	if err != nil {
		return err
	}
	identity, err := age.ParseX25519Identity(strings.TrimSpace(plain))
	if err != nil { // the text of age's error may quote the identity
		return f.damagedKey("holds no key")
	}
	f.identity, f.wrapped, f.locked = identity, wrapped, false
	_, _ = f.rest(ctx, f.options.Rest) // where no key can rest, the next process needs the passphrase again
	return nil
}

// readIdentity reads the file of the identity. One that others could have changed is refused, and is never replaced:
// other records may need it.
func (f *files) readIdentity(dir *os.Root) ([]byte, error) {
	wrapped, err := f.read(dir, identityFile)
	switch {
	case err == nil:
		return wrapped, nil
	case errors.Is(err, ErrUnavailable):
		if u := new(UnavailableError); errors.As(err, &u) { // without ErrCorrupt
			return nil, u
		}
		return nil, err
	case errors.Is(err, ErrNotFound):
		return nil, errNoIdentity
	case errors.Is(err, ErrCorrupt):
		return nil, f.damagedKey("is damaged")
	}
	return nil, err
}

func (f *files) damagedKey(how string) error {
	path := f.path(identityFile)
	return f.unavailable(ReasonDamagedKey, path, path+" "+how+", and the sessions beside it need its key", nil)
}

func isDamagedKey(err error) bool {
	u := new(UnavailableError)
	return errors.As(err, &u) && u.Reason == ReasonDamagedKey
}

// holdIdentity makes sure of an identity, and returns with a lock under which no other process replaces it.
func (f *files) holdIdentity(ctx context.Context, dir *os.Root) (release func(), err error) {
	if f.identity != nil {
		release, err := f.lockIdentity(ctx, (*flock.Flock).TryRLock)
		if err != nil {
			return nil, err
		}
		if wrapped, err := f.readIdentity(dir); err == nil && bytes.Equal(wrapped, f.wrapped) {
			return release, nil
		}
		release()
	}
	release, err = f.lockIdentity(ctx, (*flock.Flock).TryLock)
	if err != nil {
		return nil, err
	}
	if err := f.ensureIdentity(ctx, dir); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// ensureIdentity makes an identity where it may. The caller has the lock alone.
func (f *files) ensureIdentity(ctx context.Context, dir *os.Root) error {
	records, err := fs.Glob(dir.FS(), "*"+extension)
	if err != nil {
		return err
	}
	if err := f.unlock(ctx, dir, len(records) == 0); !errors.Is(err, errNoIdentity) {
		return err
	}
	if err := f.know(ctx, true); err != nil { // where it is not known yet, it opens nothing that there is
		return err
	}
	return f.makeIdentity(ctx, dir)
}

// makeIdentity makes an identity, and writes it under the passphrase. A crash leaves the old file or the new one.
func (f *files) makeIdentity(ctx context.Context, dir *os.Root) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	wrapped, err := f.encryptUnderPassphrase(identity.String() + "\n")
	if err != nil {
		return err
	}
	if err := f.write(dir, identityNew, identityFile, wrapped); err != nil {
		path := f.path(identityFile)
		return f.unavailable(ReasonUnwritable, path, path+" can't be written: "+reason(err), err)
	}
	f.identity, f.wrapped, f.right = identity, wrapped, true
	_, _ = f.rest(ctx, f.options.Rest)
	return nil
}

// write writes a file under another name, and puts it into its place whole.
func (f *files) write(dir *os.Root, next, name string, content []byte) error {
	file, err := create(dir, next)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync())
	err = errors.Join(err, file.Close())
	if err == nil {
		err = clearPlace(dir, name)
	}
	if err == nil {
		err = dir.Rename(next, name)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(next))
	}
	return f.sync(dir)
}

func (f *files) lockIdentity(ctx context.Context, try func(*flock.Flock) (bool, error)) (release func(), err error) {
	path := f.path(identityLock)
	lock := private.NewLock(path)
	if err := untilTaken(ctx, func() (bool, error) { return try(lock) }); err != nil {
		_ = lock.Close()
		if ctx.Err() != nil {
			return nil, late(ctx)
		}
		return nil, f.unavailable(ReasonUnwritable, path, path+" can't be locked: "+reason(err), err)
	}
	return func() { _ = lock.Close() }, nil
}

// openRecord decrypts a record. file is what was just read under the name.
func (f *files) openRecord(ctx context.Context, dir *os.Root, name string, file []byte) (string, []byte, error) {
	for {
		if bytes.HasPrefix(file, []byte(scryptRecord)) {
			if err := f.know(ctx, false); err != nil {
				return "", nil, err
			}
			if ctx.Err() != nil {
				return "", nil, late(ctx)
			}
			plain, err := f.decrypt(file, name+extension)
			return plain, file, err
		}
		err := f.unlock(ctx, dir, false)
		var plain string
		if err == nil {
			plain, err = f.decryptRecord(file, name+extension)
		}
		if !errors.Is(err, errNoIdentity) {
			return plain, file, err
		}
		// Another process may have put a new identity and a new record in the places of the old ones meanwhile.
		again, readErr := f.read(dir, name+extension)
		switch {
		case readErr != nil:
			return "", nil, readErr
		case bytes.Equal(again, file):
			return "", nil, fmt.Errorf("%s: %w", f.path(name+extension), corrupt("the key that it is encrypted to is gone"))
		}
		file = again
	}
}

// decryptRecord returns errNoIdentity where the record is encrypted to another identity.
func (f *files) decryptRecord(content []byte, name string) (string, error) {
	r, err := age.Decrypt(bytes.NewReader(content), f.identity)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return "", errNoIdentity
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(io.LimitReader(r, maxFile))
	}
	if err != nil { // the text of age's error may quote the file
		return "", fmt.Errorf("%s: %w", f.path(name), corrupt("it is damaged or cut short"))
	}
	return string(plain), nil
}

func (f *files) encryptRecord(plain string) ([]byte, error) {
	return seal(plain, f.identity.Recipient())
}

func seal(plain string, to age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err == nil {
		_, err = io.WriteString(w, plain)
		err = errors.Join(err, w.Close())
	}
	return b.Bytes(), err
}

func (f *files) wrongPassphrase(name string) error {
	return f.unavailable(ReasonWrongPassphrase, f.path(name), "the passphrase does not open "+f.path(name), nil)
}

// Unlock implements Unlocker.
func (f *files) Unlock(ctx context.Context, lifetime time.Duration) (until time.Time, err error) {
	if err := f.begin(ctx); err != nil {
		return until, err
	}
	defer f.end()
	dir, err := f.open()
	if err != nil {
		return until, err
	}
	defer dir.Close()
	records, err := fs.Glob(dir.FS(), "*"+extension)
	if err != nil {
		return until, err
	}
	if len(records) == 0 {
		return until, ErrNotFound
	}
	f.forget() // a key that rests needs no passphrase; this call does
	f.locked = false
	if err := f.know(ctx, false); err != nil {
		return until, err
	}
	if err := f.prove(ctx, dir, strings.TrimSuffix(records[0], extension)); err != nil {
		return until, err
	}
	if !f.right {
		return until, f.damagedKey("is gone")
	}
	release, err := f.holdIdentity(ctx, dir)
	if err != nil {
		return until, err
	}
	release()
	return f.rest(ctx, lifetime)
}
