package keystore

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/private"
)

// A Leaser is a Store whose records can be leased. A lease is the right to change a record. One process at a time has
// it, among all processes that use the store, whatever their folders and their environment are. It ends with its
// process at the latest.
//
// Beside each record there is a note. It outlives the lease, so that the next holder learns what the one before was
// doing when it ended.
type Leaser interface {
	// Lease waits until no other process has the lease of the record, and takes it. If ctx ends meanwhile, the error is
	// its cause. release gives the lease back.
	Lease(ctx context.Context, name string) (release func(), err error)
	// Note returns the note, or nil if there is none. A reader needs no lease.
	Note(ctx context.Context, name string) ([]byte, error)
	// SetNote replaces the note. It fails where the store could not be written. Without a note it removes the one that is
	// there; so does Delete. The caller holds the lease. A note holds no secret, and should have 1 KiB at most.
	SetNote(ctx context.Context, name string, note []byte) error
}

// The pauses between two attempts to take a lease: short at first, since most leases are held for a moment.
const (
	firstPause = time.Millisecond
	mostPause  = 50 * time.Millisecond
)

// untilTaken calls take again and again until it succeeds or fails, or until ctx ends. No queue is joined, for that
// could give the lease to a process that was stopped while it waited.
func untilTaken(ctx context.Context, take func() (bool, error)) error {
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		if ok, err := take(); ok || err != nil {
			return err
		}
		if err := clock.Pause(ctx, pause/2+rand.N(pause)); err != nil { //nolint:gosec // no secret
			return err
		}
	}
}

// leaseFile takes the lease that is a lock on the file at path.
func leaseFile(ctx context.Context, path string) (release func(), err error) {
	f := private.NewLock(path)
	if err := untilTaken(ctx, f.TryLock); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
