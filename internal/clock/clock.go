// Package clock measures time by the clock on the wall. Go's monotonic clock, which timers follow and which time.Now
// carries along, stands still while a laptop sleeps; a person, a token and a provider do not.
package clock

import (
	"context"
	"time"
)

// look is how often the clock is read while something waits. It bounds how late a wait ends after a sleep.
const look = 5 * time.Second

// Now returns the time on the wall, without the reading of the monotonic clock.
func Now() time.Time { return time.Now().Round(0) }

// WithTimeoutCause is context.WithTimeoutCause by the clock on the wall: the time that a laptop sleeps counts.
// It looks at that clock every five seconds.
func WithTimeoutCause(parent context.Context, limit time.Duration, cause error) (context.Context, context.CancelFunc) {
	return withTimeoutBy(parent, limit, cause, Now)
}

func withTimeoutBy(
	parent context.Context, limit time.Duration, cause error, now func() time.Time,
) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	due := now().Add(limit)
	go func() {
		if waitUntil(ctx, due, now) == nil {
			cancel(cause)
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Wait returns nil when limit has passed on the wall, or the cause of ctx if that ends first.
// It looks at the clock every five seconds.
func Wait(ctx context.Context, limit time.Duration) error {
	return waitUntil(ctx, Now().Add(limit), Now)
}

// Pause returns nil after d, or the cause of ctx if that ends first. It is for pauses between attempts, which a clock
// on the wall that is set back must not make longer.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Within reports whether at is less than life ago. A time of the future was noted while the clock was wrong: nobody
// knows how long ago it is, so it counts as none. It may be a minute off, because clocks are corrected by as much.
func Within(at, now time.Time, life time.Duration) bool {
	age := now.Sub(at)
	return -time.Minute < age && age < life
}

func waitUntil(ctx context.Context, due time.Time, now func() time.Time) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		left := due.Sub(now())
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(min(left, look))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
