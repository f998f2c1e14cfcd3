package webui

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/loopkey/loopkey/session"
)

const (
	watchEvery = 300 * time.Millisecond // how often run asks whether another process changed the session: one stat
	viewLife   = time.Second            // how old a view may be when a reply is made from it
)

// A view is what the server knows of the session. Replies are made from it, so that the keychain is read only
// when the session has changed.
type view struct {
	info     session.Info
	loggedIn bool
}

// A watch keeps the view current and tells listeners when it has changed.
type watch struct {
	session *session.Session
	now     func() time.Time
	ended   func() // called when the session that browsers were recognised for has ended

	looking   sync.Mutex // held while the session is read, so that no older look comes after a newer one
	mu        sync.Mutex // guards what follows
	current   view
	changed   time.Time       // the stamp of the session in current
	looked    time.Time       // when the last look ended; zero: never
	listeners []chan struct{} // the oldest first
}

func newWatch(s *session.Session, now func() time.Time, ended func()) *watch {
	return &watch{session: s, now: now, ended: ended}
}

// view returns what is known of the session. If nobody has looked for viewLife, or ever, it looks first.
func (w *watch) view(ctx context.Context) view {
	w.mu.Lock()
	age, first := w.now().Sub(w.looked), w.looked.IsZero()
	w.mu.Unlock()
	ctx = context.WithoutCancel(ctx) // a request that is given up must not look like a session that can't be read
	switch {
	case first:
		w.refresh(ctx, false)
	case (age > viewLife || age < 0) && w.looking.TryLock(): // else somebody is looking, which a keychain may make long
		w.look(ctx, false)
		w.looking.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.current
	if v.loggedIn && !v.info.SessionExpiry.IsZero() && !v.info.SessionExpiry.After(w.now()) {
		v.loggedIn = false
	}
	return v
}

// refresh reads the session if it has changed since the last look, or if force is set.
func (w *watch) refresh(ctx context.Context, force bool) {
	w.looking.Lock()
	defer w.looking.Unlock()
	w.look(ctx, force)
}

// look is refresh for a caller that holds looking.
func (w *watch) look(ctx context.Context, force bool) {
	stamp := w.session.Changed()
	w.mu.Lock()
	same := stamp.Equal(w.changed) && !w.looked.IsZero()
	if same && !force {
		w.looked = w.now()
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	info, err := w.session.Info(ctx)
	next := view{info: info, loggedIn: err == nil && !errors.Is(info.Unusable, session.ErrExpired)}
	w.mu.Lock()
	before := w.current
	// Browsers were recognised for one login of one user: a later login, even of the same user, is another.
	ended := before.loggedIn && (!next.loggedIn || !next.info.LoggedInAt.Equal(before.info.LoggedInAt))
	w.current, w.changed, w.looked = next, stamp, w.now()
	if ended {
		w.ended()
	}
	w.mu.Unlock()
	w.tell()
}

// tell lets every open page ask for itself again.
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
		w.refresh(ctx, false)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listen returns a channel that gets a value after each change. Where too many listen, the oldest makes room: its
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
