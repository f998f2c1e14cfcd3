package webui

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/loopkey/loopkey/session"
)

// watchEvery is how often to look whether another process changed the session: one stat.
const watchEvery = 300 * time.Millisecond

// A view is what the server knows of the session. Requests read it; the keychain is read only when it changed.
type view struct {
	info     session.Info
	loggedIn bool
	err      error // the keychain could not be asked
	serial   int   // grows with every change
}

// A watch keeps the view current and tells who listens.
type watch struct {
	session *session.Session
	now     func() time.Time

	reading   sync.Mutex // one at a time, so that no older look comes after a newer one
	mu        sync.Mutex
	current   view
	changed   time.Time
	listeners []chan struct{} // the oldest first
	ended     func()          // the session that browsers were recognised for is over
}

func newWatch(s *session.Session, now func() time.Time, ended func()) *watch {
	return &watch{session: s, now: now, ended: ended}
}

// view returns what is known of the session now.
func (w *watch) view() view {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.current
	if v.loggedIn && !v.info.SessionExpiry.IsZero() && !v.info.SessionExpiry.After(w.now()) {
		v.loggedIn = false
	}
	return v
}

// refresh reads the session if its stamp has changed since the last time, or if force is set.
func (w *watch) refresh(ctx context.Context, force bool) {
	w.reading.Lock()
	defer w.reading.Unlock()
	stamp := w.session.Changed()
	w.mu.Lock()
	same := stamp.Equal(w.changed)
	w.mu.Unlock()
	if same && !force {
		return
	}
	info, err := w.session.Info(ctx)
	next := view{info: info, loggedIn: err == nil && !errors.Is(info.Over, session.ErrExpired)}
	if err != nil && !errors.Is(err, session.ErrNotLoggedIn) {
		next.err = err
	}
	w.mu.Lock()
	before := w.current
	// Another person, or another login of the same one, is not whom the browsers were recognised for.
	over := before.loggedIn && (!next.loggedIn || !next.info.LoggedInAt.Equal(before.info.LoggedInAt))
	next.serial = before.serial + 1
	w.current, w.changed = next, stamp
	if over {
		w.ended()
	}
	w.mu.Unlock()
	w.tell()
}

// tell lets every open page look again.
func (w *watch) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, listener := range w.listeners {
		select {
		case listener <- struct{}{}:
		default: // it has one waiting already
		}
	}
}

// run looks for changes until ctx ends.
func (w *watch) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.refresh(ctx, false)
		}
	}
}

// listen returns a channel that gets a value after each change. Where too many listen the oldest makes room: its
// channel is closed.
func (w *watch) listen() (changes <-chan struct{}, stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.listeners) >= mostKept {
		close(w.listeners[0])
		w.listeners = slices.Delete(w.listeners, 0, 1)
	}
	listener := make(chan struct{}, 1)
	w.listeners = append(w.listeners, listener)
	return listener, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if i := slices.Index(w.listeners, listener); i >= 0 {
			w.listeners = slices.Delete(w.listeners, i, i+1)
		}
	}
}
