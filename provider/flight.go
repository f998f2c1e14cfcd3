package provider

import (
	"context"
	"sync"
	"time"
)

// A flight is a request whose response all callers share that want it at the same time.
type flight[T any] struct{ now *underWay[T] }

type underWay[T any] struct {
	done   chan struct{}
	value  T
	err    error
	gaveUp bool // its caller gave up: the error says nothing about the provider
}

// do returns what fetch returns, or what the fetch of another caller returned that was under way. The caller holds mu,
// which do releases meanwhile: a login must not wait because a response is slow that it does not need.
func (f *flight[T]) do(ctx context.Context, mu *sync.Mutex, fetch func() (T, error)) (T, error) {
	for f.now != nil {
		other := f.now
		mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			value, err := fetch() // it says what that means
			mu.Lock()
			return value, err
		}
		mu.Lock()
		if !other.gaveUp {
			return other.value, other.err
		}
	}
	mine := &underWay[T]{done: make(chan struct{})}
	f.now = mine
	mu.Unlock()
	defer func() {
		mu.Lock()
		mine.gaveUp = ctx.Err() != nil
		if f.now == mine {
			f.now = nil
		}
		close(mine.done)
	}()
	mine.value, mine.err = fetch()
	return mine.value, mine.err
}

// within reports whether no more than pause has passed since a time. A time in the future counts as none: the clock was
// wrong when it was noted, or is wrong now.
func within(since, now time.Time, pause time.Duration) bool {
	age := now.Sub(since)
	return age >= 0 && age < pause
}
