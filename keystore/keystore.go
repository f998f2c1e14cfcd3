// Package keystore stores sessions: in the OS keychain, in an encrypted file where there is none, or in memory.
//
//	store := keystore.Memory() // or keystore.Keychain(keystore.KeychainOptions{})
//	err := store.Save(ctx, "work", keystore.Record{Head: token, Body: rest})
//	record, err := store.Head(ctx, "work") // one read of a keychain
//
// A crash or a reader in the middle of a Save sees the old record or the new one, whole, however small the entries of
// the platform's keychain are. Every call has a limit. A store that can't be used says why (UnavailableError) and is
// never taken for an empty one; no store falls back to another. A keychain and a file lease their records (Leaser), so
// that one process at a time changes a session. Package keystoretest proves a store of your own.
package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// A Record is one session as it is stored. Both halves are replaced together: a reader or a crash sees the old record
// whole or the new one whole.
type Record struct {
	Head []byte // small: what is needed to hand out a token that is still good
	Body []byte // the rest, needed to renew the session or to describe it
}

// A Store keeps records by name. A name has 1 to 128 characters of [A-Za-z0-9._-]. Writers of a record hold the lock
// of its session; readers need no lock.
//
// Every call is bounded in time, by ctx and by the store's own limit. Its errors wrap ErrNotFound, ErrUnavailable or
// ErrCorrupt, or the cause of ctx where the caller cancelled it.
type Store interface {
	// Head reads the head, with one read of a keychain. Body is nil unless that read brought it along.
	Head(ctx context.Context, name string) (Record, error)
	// Load reads the whole record.
	Load(ctx context.Context, name string) (Record, error)
	// Save replaces the record.
	Save(ctx context.Context, name string, r Record) error
	// Delete removes the record and whatever a crash left beside it. A record that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// A Reserver is a Store that may refuse to write, and can say so before a record comes that must not be lost.
type Reserver interface {
	// Reserve makes room for the next Save of the record, or says why there would be none. release gives the room back
	// where no Save came. The caller holds the lock of the session.
	Reserve(ctx context.Context, name string) (release func(), err error)
}

var (
	// ErrNotFound says that there is no such record. It is never said because the keychain could not be asked.
	ErrNotFound = errors.New("no such session")
	// ErrUnavailable says that the keychain (or the file) can't be used. An *UnavailableError says why.
	ErrUnavailable = errors.New("the keychain can't be used")
	// ErrCorrupt says that there is something that can't be decoded. It is left as it is.
	ErrCorrupt = errors.New("the stored session can't be read")
)

func (r Record) clone() Record { return Record{bytes.Clone(r.Head), bytes.Clone(r.Body)} }

// check refuses a call whose context has ended, or whose name is none.
func check(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return late(ctx)
	}
	return checkName(name)
}

// late returns why ctx ended: by the limit of the store, by the caller's deadline, or because the caller cancelled it.
func late(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrUnavailable) {
		return cause
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &UnavailableError{Why: "no answer in time", Reason: ReasonTooSlow, Err: cause}
	}
	return fmt.Errorf("waiting for the stored session: %w", cause)
}

// checkName refuses a name that could lead to another entry, another file or another directory.
func checkName(name string) error {
	if name == "" || len(name) > 128 {
		return fmt.Errorf("keystore: a record's name has 1 to 128 characters, not %d", len(name))
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("keystore: %q can't be a record's name", name)
		}
	}
	return nil
}
