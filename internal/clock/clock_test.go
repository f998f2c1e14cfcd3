package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errLate = errors.New("too late")

func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := WithTimeoutCause(t.Context(), 3*time.Minute, errLate)
		defer cancel()
		<-ctx.Done()
		if took := time.Since(start); !errors.Is(context.Cause(ctx), errLate) || took != 3*time.Minute {
			t.Errorf("%v after %s", context.Cause(ctx), took)
		}
		ctx, cancel = WithTimeoutCause(t.Context(), time.Minute, errLate)
		cancel() // the bubble fails where something goes on
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			t.Errorf("canceled: %v", cause)
		}
	})
}

// A laptop that slept for hours gives nobody three minutes more.
func TestDeadlineAfterSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := withTimeoutBy(t.Context(), 3*time.Minute, errLate, asleep(start))
		defer cancel()
		<-ctx.Done()
		if took := time.Since(start); !errors.Is(context.Cause(ctx), errLate) || took > 20*time.Second {
			t.Errorf("%v, awake for %s", context.Cause(ctx), took)
		}
	})
}

// asleep is the clock on the wall of a laptop that sleeps for eight hours, ten seconds after start by the timers'
// clock.
func asleep(start time.Time) func() time.Time {
	return func() time.Time {
		if time.Since(start) > 10*time.Second {
			return time.Now().Add(8 * time.Hour)
		}
		return time.Now()
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Wait(t.Context(), 12*time.Second); err != nil || time.Since(start) != 12*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		start = time.Now()
		if err := waitUntil(t.Context(), start.Add(time.Hour), asleep(start)); err != nil ||
			time.Since(start) > 20*time.Second {
			t.Errorf("%v, awake for %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errLate)
		defer cancel()
		if err := Wait(ctx, time.Minute); !errors.Is(err, errLate) {
			t.Errorf("its context ended: %v", err)
		}
		if err := Wait(ctx, 0); !errors.Is(err, errLate) {
			t.Errorf("its context ended before, and the wait is over: %v", err)
		}
	})
}

func TestNow(t *testing.T) {
	t.Parallel()
	if now := Now(); now != now.Round(0) {
		t.Errorf("%v has a reading of the monotonic clock", now)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for age, want := range map[time.Duration]bool{
		0: true, 9 * time.Minute: true, 10 * time.Minute: false, 240 * time.Hour: false,
		-30 * time.Second: true, -time.Minute: false, -5 * time.Minute: false, -240 * time.Hour: false,
	} {
		if Within(now.Add(-age), now, 10*time.Minute) != want {
			t.Errorf("%v ago: got %t", age, !want)
		}
	}
	if Within(time.Time{}, now, time.Hour) {
		t.Error("never is within an hour")
	}
}
