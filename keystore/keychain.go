package keystore

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"
)

// KeychainOptions are for Keychain. The zero value is what most programs want. A Service of another name is a keychain
// of its own; a MaxEntry is for tests, and for a Secret Service that refuses long entries.
type KeychainOptions struct {
	Service  string        // the name under which the keychain lists every entry; "" means loopkey
	Limit    time.Duration // how long one call may take while a person types a password, say; 0 means 10 seconds
	MaxEntry int           // the largest entry in bytes; 0 means 2400 on Windows and macOS, and any size elsewhere
}

// Keychain returns the OS keychain: the Secret Service, the login keychain of macOS, the Credential Manager of Windows.
// Its entries carry the service's name, and the record's name as their account. Keychain itself does not ask the
// keychain for anything.
func Keychain(opts KeychainOptions) Store {
	k := &keychain{
		entries: osEntries{cmp.Or(opts.Service, "loopkey"), &leases{}},
		limit:   cmp.Or(opts.Limit, 10*time.Second),
	}
	switch {
	case opts.MaxEntry > 0:
		k.max = max(opts.MaxEntry, minEntry)
	case runtime.GOOS == "windows", runtime.GOOS == "darwin":
		k.max = 2400
	}
	return k
}

// wholeEntry is how large a record is kept as one entry where entries may have any size. Reading so much costs little
// more than reading a few bytes.
const wholeEntry = 16 << 10

type keychain struct {
	entries osEntries
	limit   time.Duration
	max     int
}

func (k *keychain) Head(ctx context.Context, name string) (r Record, err error) {
	err = k.do(ctx, name, func(ctx context.Context, s split) error {
		r, err = s.read(ctx, name, false)
		return err
	})
	return r, err
}

func (k *keychain) Load(ctx context.Context, name string) (r Record, err error) {
	err = k.do(ctx, name, func(ctx context.Context, s split) error {
		r, err = s.read(ctx, name, true)
		return err
	})
	return r, err
}

func (k *keychain) Save(ctx context.Context, name string, r Record) error {
	return k.do(ctx, name, func(ctx context.Context, s split) error { return s.save(ctx, name, r) })
}

func (k *keychain) Delete(ctx context.Context, name string) error {
	return k.do(ctx, name, func(ctx context.Context, s split) error { return s.remove(ctx, name) })
}

// Lease implements Leaser. While it waits for another process, the limit of ctx alone counts.
func (k *keychain) Lease(ctx context.Context, name string) (release func(), err error) {
	if err := check(ctx, name); err != nil {
		return nil, err
	}
	return k.lease(ctx, name)
}

// Note implements Leaser by an entry beside the record's.
func (k *keychain) Note(ctx context.Context, name string) (note []byte, err error) {
	err = k.do(ctx, name, func(ctx context.Context, s split) error {
		note, err = s.note(ctx, name)
		return err
	})
	return note, err
}

// SetNote implements Leaser. A keychain that can be read may refuse to write, on a full disk say.
func (k *keychain) SetNote(ctx context.Context, name string, note []byte) error {
	return k.do(ctx, name, func(ctx context.Context, s split) error { return s.setNote(ctx, name, note) })
}

// do runs an operation, which may be several calls of the keychain, under the store's limit.
func (k *keychain) do(ctx context.Context, name string, operation func(context.Context, split) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, k.limit, noAnswer(k.limit))
	defer cancel()
	return operation(ctx, split{k.entries, k.max, wholeEntry, readBack, encoded})
}

func noAnswer(limit time.Duration) error {
	return &UnavailableError{
		Why: fmt.Sprintf("no answer in %v", limit), Reason: ReasonNoAnswer, Err: context.DeadlineExceeded,
	}
}
