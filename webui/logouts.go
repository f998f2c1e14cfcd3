package webui

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/session"
)

// logouts keeps how a logout went until its page is shown, and the state of a logout until the provider sends the
// browser back with it.
type logouts struct {
	now  func() time.Time
	seen login.Sightings

	mu         sync.Mutex
	departures map[string]departure // by ID
	returns    map[string]arrival   // by state
}

// A departure is a browser on its way to the provider's logout.
type departure struct {
	session.Ended
	terminal *terminal // that logged out; nil: one of our pages did
	of       string    // the session that ended, if it is another than that of the pages
	local    bool      // the provider was not told
	state    string    // with which the browser is expected back; "": it is not
}

// An arrival is a browser that is expected back from the provider's logout.
type arrival struct {
	begun    time.Time
	terminal *terminal // that waits for it; may be nil
}

// A terminal waits for the browser that it sent to the provider's logout.
type terminal struct {
	sent, back chan struct{} // each is closed once
	noState    bool          // it came back without the state; set before back is closed
}

func newLogouts(now func() time.Time) *logouts {
	return &logouts{now: now, departures: map[string]departure{}, returns: map[string]arrival{}}
}

// add keeps a departure, and expects the browser back with state; with "" it can't be known.
func (l *logouts) add(state string, d departure) (id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.departures) >= mostKept {
		clear(l.departures)
	}
	if len(l.returns) >= mostKept {
		clear(l.returns)
	}
	id = rand.Text()
	d.state = state
	l.departures[id] = d
	if state != "" {
		l.returns[state] = arrival{l.now(), d.terminal}
	}
	return id
}

// wait waits for an event of a logout that began at a moment. It returns the cause of ctx if that ends before.
func (l *logouts) wait(ctx context.Context, event <-chan struct{}, began login.Moment) error {
	select {
	case <-event:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-event:
		return nil
	default:
	}
	if err := context.Cause(ctx); !errors.Is(err, login.ErrTimeout) {
		return err
	}
	return l.seen.Timeout(began)
}

// take returns the departure of an ID, once.
func (l *logouts) take(id string) (departure, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.departures[id]
	delete(l.departures, id)
	return d, ok
}

// waits reports whether a browser is expected back with state.
func (l *logouts) waits(state string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.returns[state]
	return ok
}

// stateOf returns the state of the logout whose browser has a cookie, or "".
func (l *logouts) stateOf(leaver string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for state := range l.returns {
		if subtle.ConstantTimeCompare([]byte(leaverOf(state)), []byte(leaver)) == 1 {
			return state
		}
	}
	return ""
}

// returned reports whether a browser was expected back with state, and expects it no longer. shown says that it came
// with the state.
func (l *logouts) returned(state string, shown bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.returns[state]
	delete(l.returns, state)
	if !ok || !clock.Within(a.begun, l.now(), returnLife) {
		l.seen.Note(login.OtherLogout)
		return false
	}
	if a.terminal != nil {
		a.terminal.noState = !shown
		close(a.terminal.back)
	}
	return true
}
