package mcp

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A queue keeps the order of the host's messages as far as it matters, while requests run side by side. A notification
// or a response is sent when all requests before it have been written. Whatever follows a notification or a response is
// sent when the server has accepted that: a server refuses requests before notifications/initialized. And all waits for
// initialize.
type queue struct {
	last  *turn   // of the last message that is no ordinary request
	since []*turn // of the requests since then
}

// A turn is the place of one message in the queue.
type turn struct {
	before     []*turn
	initialize bool
	ready      chan struct{} // closed when the message may be sent
	passed     chan struct{} // closed when those behind need not wait for it any more
	once       sync.Once
}

// patience is how long a message waits for one that is being sent: a server that does not accept a notification must
// not stop everything.
const patience = 10 * time.Second

// request returns the turn of a request.
func (q *queue) request() *turn {
	t := newTurn()
	if q.last != nil {
		t.before = []*turn{q.last}
	}
	q.since = append(slices.DeleteFunc(q.since, (*turn).isOver), t)
	return t
}

// ordered returns the turn of a notification, a response or initialize.
func (q *queue) ordered() *turn {
	t := newTurn()
	if q.last != nil {
		t.before = append(t.before, q.last)
	}
	t.before = append(t.before, q.since...)
	q.last, q.since = t, nil
	return t
}

func newTurn() *turn { return &turn{ready: make(chan struct{}), passed: make(chan struct{})} }

// wait returns when the message may be sent.
func (t *turn) wait(ctx context.Context) {
	defer close(t.ready)
	for _, before := range t.before {
		if !before.waitFor(ctx) {
			break
		}
	}
	t.before = nil
}

// waitFor waits for a turn. It reports false when there is no use in waiting for others.
func (t *turn) waitFor(ctx context.Context) bool {
	select {
	case <-t.ready:
	case <-ctx.Done():
		return false
	}
	var limit <-chan time.Time
	if !t.initialize {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		limit = timer.C
	}
	select {
	case <-t.passed:
		return true
	case <-limit:
	case <-ctx.Done():
	}
	return false
}

// pass lets those behind go.
func (t *turn) pass() { t.once.Do(func() { close(t.passed) }) }

func (t *turn) isOver() bool {
	select {
	case <-t.passed:
		return true
	default:
		return false
	}
}
