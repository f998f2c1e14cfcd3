package granted

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A context that has ended does not stop the storing, which has a limit of its own.
func TestStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := Store(ctx, func(ctx context.Context) error {
			if ctx.Err() != nil {
				t.Error("it had ended before it began")
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != Limit {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// A request ends a while after its context, with the same cause.
func TestAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the terminal is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		asking, done := Asking(ctx)
		defer done()
		cancel(gone)
		began := time.Now()
		<-asking.Done()
		if took := time.Since(began); took != Grace || !errors.Is(context.Cause(asking), gone) {
			t.Errorf("%v after %s", context.Cause(asking), took)
		}
		finished, done := Asking(t.Context())
		done()
		if finished.Err() == nil {
			t.Error("it goes on after the request")
		}
	})
}
