// Package kept hands out the tokens of a session from memory for as long as no process changes the session. A program
// that is asked for a token a hundred times a second can't ask a keychain, which takes milliseconds, as often.
package kept

import (
	"context"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

const (
	unknownLife = time.Minute // how long a token is kept whose expiry the provider did not give
	// storedLife is how long a stored token is kept: a process with another state folder may change the session unseen.
	storedLife = 10 * time.Second
	most       = 64 // tokens that are kept: callers may ask for scopes as they like
)

// Tokens hands out the tokens of a session, and keeps them. It is safe for concurrent use.
type Tokens struct {
	session *session.Session
	now     func() time.Time

	mu    sync.Mutex
	state time.Time // session.Changed when the tokens were read; zero: none are kept
	kept  map[key]entry
}

type key struct {
	session.Request
	idToken bool
	stored  bool
}

type entry struct {
	token session.AccessToken
	read  time.Time
	life  time.Duration // after which the token is read again
}

// New returns the tokens of a session by a clock.
func New(s *session.Session, now func() time.Time) *Tokens {
	return &Tokens{session: s, now: now, kept: map[key]entry{}}
}

// AccessToken is session.Session.AccessToken.
func (t *Tokens) AccessToken(ctx context.Context, r session.Request) (session.AccessToken, error) {
	token, _, err := t.At(ctx, r)
	return token, err
}

// At is AccessToken, and returns also the state of the session that the token is of, as session.Session.Changed tells
// states apart.
func (t *Tokens) At(ctx context.Context, r session.Request) (session.AccessToken, time.Time, error) {
	return t.get(key{Request: r}, func() (session.AccessToken, error) { return t.session.AccessToken(ctx, r) })
}

// IDToken is session.Session.IDToken.
func (t *Tokens) IDToken(
	ctx context.Context, minLifetime time.Duration, force bool,
) (provider.Secret, time.Time, error) {
	k := key{Request: session.Request{MinLifetime: minLifetime, Force: force}, idToken: true}
	token, _, err := t.get(k, func() (session.AccessToken, error) {
		secret, expiry, err := t.session.IDToken(ctx, minLifetime, force)
		return session.AccessToken{Token: secret, Expiry: expiry}, err
	})
	return token.Token, token.Expiry, err
}

// StoredToken is session.Session.StoredToken.
func (t *Tokens) StoredToken(ctx context.Context, r session.Request) (session.AccessToken, bool, error) {
	return t.getStored(key{Request: r, stored: true}, func() (session.AccessToken, bool, error) {
		return t.session.StoredToken(ctx, r)
	})
}

// StoredIDToken is session.Session.StoredIDToken.
func (t *Tokens) StoredIDToken(
	ctx context.Context, minLifetime time.Duration,
) (token provider.Secret, expiry time.Time, ok bool, err error) {
	k := key{Request: session.Request{MinLifetime: minLifetime}, idToken: true, stored: true}
	kept, ok, err := t.getStored(k, func() (session.AccessToken, bool, error) {
		secret, expiry, ok, err := t.session.StoredIDToken(ctx, minLifetime)
		return session.AccessToken{Token: secret, Expiry: expiry}, ok, err
	})
	return kept.Token, kept.Expiry, ok, err
}

// getStored keeps a stored token for storedLife at most, and no longer than it has the lifetime that was asked for.
func (t *Tokens) getStored(
	k key, read func() (session.AccessToken, bool, error),
) (session.AccessToken, bool, error) {
	state := t.session.Changed() // before the token is read: a change meanwhile makes it too old
	if token, ok := t.find(k, state); ok {
		return token, true, nil
	}
	token, ok, err := read()
	if err == nil && ok && k.Need.MaxAge == 0 {
		now, life := t.now(), storedLife
		if !token.Expiry.IsZero() {
			life = min(life, token.Expiry.Sub(now)-k.MinLifetime)
		}
		t.keep(k, entry{token, now, life}, state)
	}
	return token, ok, err
}

// Refuse is session.Session.Refuse.
func (t *Tokens) Refuse(ctx context.Context, r session.Refusal) error {
	return t.session.Refuse(ctx, r)
}

func (t *Tokens) get(k key, read func() (session.AccessToken, error)) (session.AccessToken, time.Time, error) {
	state := t.session.Changed() // before the token is read: a change meanwhile makes it too old
	if token, ok := t.find(k, state); ok {
		return token, state, nil
	}
	token, err := read()
	if err != nil {
		return session.AccessToken{}, state, err
	}
	if !k.Force && k.Need.MaxAge == 0 { // else it is too old some day
		t.keep(k, t.entry(k, token), state)
	}
	return token, state, nil
}

// find returns a token that is kept for this state of the session.
func (t *Tokens) find(k key, state time.Time) (session.AccessToken, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.kept[k]
	ok = ok && t.session.InLimits() && !t.state.IsZero() && t.state.Equal(state) && clock.Within(e.read, t.now(), e.life)
	return e.token, ok
}

// entry keeps a token until it has less left than was asked for. One that was given out with less, because no better
// one can be had, is kept for half of what it has.
func (t *Tokens) entry(k key, token session.AccessToken) entry {
	e := entry{token, t.now(), unknownLife}
	if !token.Expiry.IsZero() {
		left := token.Expiry.Sub(e.read)
		e.life = max(left-k.MinLifetime, left/2)
	}
	return e
}

func (t *Tokens) keep(k key, e entry, state time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.state.Equal(state) || len(t.kept) >= most {
		clear(t.kept)
		t.state = state
	}
	t.kept[k] = e
}
