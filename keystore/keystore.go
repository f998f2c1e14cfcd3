// Package keystore is where sessions rest: the OS keychain, an encrypted file where there is none, memory.
//
//	store := keystore.Keychain(keystore.KeychainOptions{})
//	err := store.Save(ctx, "work", keystore.Record{Head: token, Body: rest})
//	record, err := store.Head(ctx, "work") // one read of the keychain
//
// A crash or a reader in the middle of a Save sees the old record or the new
// one, whole, however small the platform's entries are. Every call has a limit.
// A store that can't be used says why and what to do (UnavailableError), and is
// never taken for an empty one; none falls back to another.
package keystore

import (
	"context"
	"errors"
)

// A Record is one session as it rests. Its two halves are replaced together: a
// reader, or a crash, sees the old record whole or the new one whole.
type Record struct {
	Head []byte // small: what every `loopkey token` reads, in one read
	Body []byte // the rest, read only to renew or to show
}

// A Store keeps records by name. Names are made by the caller of
// [A-Za-z0-9._-], at most 128 characters. Writers of one name hold the
// session's lock; readers need none.
//
// Every call is bounded in time, by ctx and by the store's own limit. Errors
// wrap ErrNotFound, ErrUnavailable or ErrCorrupt, or the cause of ctx where the
// caller cancelled it.
type Store interface {
	// Head reads the head: one read of the keychain. Body is nil unless that read brought it along.
	Head(ctx context.Context, name string) (Record, error)
	// Load reads the whole record.
	Load(ctx context.Context, name string) (Record, error)
	// Save replaces the record.
	Save(ctx context.Context, name string, r Record) error
	// Delete removes the record and whatever a crash left beside it. Deleting what is not there is no error.
	Delete(ctx context.Context, name string) error
}

// A Reserver is a Store that may refuse to write. It can be asked beforehand for
// what must not be lost when it comes.
type Reserver interface {
	// Reserve makes room for the record's next Save, or says why there would be
	// none. release gives it back where no Save came. The caller holds the session's lock.
	Reserve(ctx context.Context, name string) (release func(), err error)
}

var (
	// ErrNotFound: there is no such record. Never said because the keychain could not be asked.
	ErrNotFound = errors.New("no such session")
	// ErrUnavailable: the keychain (or the file) can't be used; an *UnavailableError says why.
	ErrUnavailable = errors.New("the keychain can't be used")
	// ErrCorrupt: something is there that can't be decoded. It is left as it is.
	ErrCorrupt = errors.New("the stored session can't be read")
)
