// Package granted is the point of no return of a login and of a renewal. Once the provider has granted something, the
// grant is stored, whatever becomes of the terminal, the deadline or the browser's tab: the response may be the only
// copy of a refresh token, and a person has logged in for it.
package granted

import (
	"context"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
)

// Limit is how long the storing of a grant may take. A person may have to unlock the keychain for it, and another
// process may be changing the session.
const Limit = 2 * time.Minute

// Store calls store with a context that does not end with ctx, but after Limit.
func Store(ctx context.Context, store func(context.Context) error) error {
	return Within(ctx, Limit, store)
}

// Within is Store with a limit of the caller's.
func Within(ctx context.Context, limit time.Duration, store func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return store(ctx)
}

// Grace is how long a request that the provider may grant is waited for when its context has ended. Its response is
// usually under way already.
const Grace = 3 * time.Second

// Asking returns a context for such a request: it ends Grace after ctx.
func Asking(ctx context.Context) (context.Context, context.CancelFunc) {
	asking, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if clock.Pause(asking, Grace) == nil {
			cancel(context.Cause(ctx))
		}
	})
	return asking, func() {
		stop()
		cancel(nil)
	}
}
