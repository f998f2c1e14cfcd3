package webui

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/session"
)

const (
	watchEvery = 300 * time.Millisecond // how often run asks whether another process changed the session: one stat
	viewLife   = time.Second            // how old a view may be when a reply is made from it
	readLimit  = 30 * time.Second       // for one look, whatever the keystore allows itself

	// How long after a keystore could not be asked it is asked again: longer each time, since it may show a dialog.
	firstRetry, lastRetry = 500 * time.Millisecond, 30 * time.Second

	renewEvery = 30 * time.Second // how often the guard has expired tokens renewed, at most
	renewLimit = 20 * time.Second // how long a request waits for that; the renewal itself goes on to its end
)

// A view is what the server knows of the session. Replies are made from it, so that the keychain is read only
// when the session has changed.
//
// It has three states. The user is logged in, or is not; and where the keystore could not be asked (err), neither is
// known: then what was known before stays as it was, and nothing is shown of it.
type view struct {
	info     session.Info
	loggedIn bool
	err      error  // why it is not known whether loggedIn still holds; nil: it does
	number   uint64 // grows with each change of the above: two views of one number are the same
}

// lives reports whether one of the access tokens has not expired.
func lives(info session.Info, now time.Time) bool {
	return slices.ContainsFunc(info.AccessTokens, func(t session.TokenInfo) bool { return !t.ExpiredAt(now) })
}

// A watch keeps the view current and tells listeners when it has changed.
type watch struct {
	session *session.Session
	now     func() time.Time
	ended   func() // called when the session that browsers were recognised for has ended

	renewing sync.Mutex // held while expired tokens are renewed
	renewed  time.Time  // when that was tried last

	looking   sync.Mutex // held while the session is read, so that no older look comes after a newer one
	mu        sync.Mutex // guards what follows
	current   view
	changed   time.Time     // the stamp of the session in current
	looked    time.Time     // when the last look ended; zero: never
	failed    time.Time     // when the keystore could not be asked
	pause     time.Duration // for how long it is not asked again
	retry     time.Duration // the pause after the next failure
	endings   map[*func()]struct{}
	listeners []chan struct{} // the oldest first
	most      int             // how many there may be
}

func newWatch(s *session.Session, now func() time.Time, ended func()) *watch {
	return &watch{session: s, now: now, ended: ended, retry: firstRetry, endings: map[*func()]struct{}{},
		most: localhost.MostStreams()}
}

// view returns what is known of the session. If nobody has looked for viewLife, or ever, it looks first.
func (w *watch) view(ctx context.Context) view {
	w.mu.Lock()
	age, first := w.now().Sub(w.looked), w.looked.IsZero()
	w.mu.Unlock()
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
	if v.loggedIn && v.info.UnusableAt(w.now()) != nil {
		v.loggedIn, v.number = false, v.number+1
		w.current = v
		w.endAll()
	}
	return v
}

// fresh is view for the guard. Where the ID token and every access token have expired, the
// session is renewed first: the provider may have ended it. It is tried at most once in renewEvery; where the provider
// can't be reached nothing is known, so nothing changes.
func (w *watch) fresh(ctx context.Context) view {
	v := w.view(ctx)
	now := w.now()
	if !v.loggedIn || v.err != nil || lives(v.info, now) || v.info.IDTokenExpiry.After(now) {
		return v
	}
	w.renewing.Lock()
	defer w.renewing.Unlock()
	if age := now.Sub(w.renewed); age < 0 || age >= renewEvery {
		w.renewed = now
		// A request that is given up must not keep the others from the result. What comes of it is in the session.
		renewing, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
		_, _ = w.session.AccessToken(renewing, session.Request{Proves: true})
		cancel()
		w.refresh(ctx, true)
	}
	return w.view(ctx)
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
	same := stamp.Equal(w.changed) && !w.looked.IsZero() && w.current.err == nil
	soon := w.current.err != nil && clock.Within(w.failed, w.now(), w.pause)
	if (same || soon) && !force {
		w.looked = w.now()
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	// What all requests share is not read under the limits of one: its tab may be closed meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
	defer cancel()
	info, err := w.session.Info(ctx)
	w.mu.Lock()
	before := w.current
	if err != nil && !errors.Is(err, session.ErrNotLoggedIn) {
		w.current.err, w.looked = err, w.now()
		w.current.number++
		w.failed, w.pause, w.retry = w.looked, w.retry, min(2*w.retry, lastRetry)
		w.mu.Unlock()
		if before.err == nil {
			w.tell()
		}
		return
	}
	w.retry = firstRetry
	next := view{
		info: info, loggedIn: err == nil && info.UnusableAt(w.now()) == nil, number: w.current.number + 1,
	}
	// Browsers were recognised for one login of one user: a later login, even of the same user, is another.
	ended := before.loggedIn && (!next.loggedIn || !next.info.LoggedInAt.Equal(before.info.LoggedInAt))
	w.current, w.changed, w.looked = next, stamp, w.now()
	if ended {
		w.endAll()
	}
	w.mu.Unlock()
	w.tell()
}

// endAll forgets the browsers and ends what is under way for the session. The mutex is held.
func (w *watch) endAll() {
	w.ended()
	for end := range w.endings {
		(*end)()
	}
	clear(w.endings)
}

// whenEnded calls end when the session ends, unless stop was called before.
func (w *watch) whenEnded(end func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endings[&end] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.endings, &end)
	}
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

// attended reports whether a page listens.
func (w *watch) attended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.listeners) > 0
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
	if len(w.listeners) >= w.most {
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
