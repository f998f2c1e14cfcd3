package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
)

// cleanUpLimit is how long the removal of the record may take after the check was interrupted.
const cleanUpLimit = 5 * time.Second

// keychain writes a record of its own into the keystore, reads it and deletes it. No session has its name.
func keychain(ctx context.Context, x *examination) []Finding {
	if x.StoreErr != nil {
		return unusable(x.StoreErr)
	}
	if x.Store == nil {
		return one(Skipped, "no keystore is open")
	}
	name := "doctor." + rand.Text()
	record := keystore.Record{Head: []byte(rand.Text()), Body: []byte(rand.Text())}
	begun := time.Now()
	if err := x.Store.Save(ctx, name, record); err != nil {
		x.remove(ctx, name)
		return unusable(err)
	}
	written := time.Now()
	got, err := x.Store.Load(ctx, name)
	read := time.Now()
	if err == nil && (!bytes.Equal(got.Head, record.Head) || !bytes.Equal(got.Body, record.Body)) {
		err = &keystore.UnavailableError{Why: "it returned another record than was written", Reason: keystore.ReasonUnchanged}
	}
	if err != nil {
		x.remove(ctx, name)
		return unusable(err)
	}
	if err := x.Store.Delete(ctx, name); err != nil {
		return unusable(err)
	}
	deleted := time.Now()
	if _, err := x.Store.Head(ctx, name); !errors.Is(err, keystore.ErrNotFound) {
		if err == nil {
			err = &keystore.UnavailableError{Why: "what was deleted is still there", Reason: keystore.ReasonUnchanged}
		}
		return unusable(err)
	}
	return one(OK, fmt.Sprintf("%s: written in %s, read in %s, deleted in %s", x.keystore(),
		milliseconds(written.Sub(begun)), milliseconds(read.Sub(written)), milliseconds(deleted.Sub(read))))
}

// keystore names the keystore.
func (x *examination) keystore() string {
	if x.Config == nil {
		return keystores.Default
	}
	return words.Printable(x.Config.Keystore)
}

// remove deletes the record of the check, also where ctx has ended.
func (x *examination) remove(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpLimit)
	defer cancel()
	_ = x.Store.Delete(ctx, name) // what failed before is said
}

// unusable returns the finding that the keystore can't be used.
func unusable(err error) []Finding {
	return []Finding{{State: Broken, Message: words.Printable(err.Error()), Err: err}}
}
