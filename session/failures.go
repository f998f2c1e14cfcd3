package session

import (
	"slices"

	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/internal/wire/kinds"
)

// failures are the errors of a renewal that keep their meaning on the way from the process that made it.
func failures() wire.Kinds {
	return slices.Concat(wire.Kinds{
		wire.Sentinel("not_logged_in", ErrNotLoggedIn),
		wire.Sentinel("cannot_renew", ErrCannotRenew),
		wire.Sentinel("refresh_refused", ErrRefreshRefused),
		wire.Sentinel("no_refresh_token", ErrNoRefreshToken),
		wire.Sentinel("expired", ErrExpired),
		wire.Sentinel("another_factor", ErrAnotherFactor),
		wire.Sentinel("locked", ErrLocked),
		wire.Sentinel("unfinished", ErrUnfinished),
		wire.Sentinel("stale", ErrStale),
		wire.Sentinel("too_few_files", ErrTooFewFiles),
		wire.Sentinel("lock_folder", ErrLockFolder),
		wire.Sentinel("lock_in_the_way", ErrLockInTheWay),
		wire.Sentinel("no_locks", ErrNoLocks),
		wire.Sentinel("unprepared", errUnprepared),
		wire.As[*ScopeError]("scope"),
	}, kinds.Keystore(), kinds.Provider())
}
