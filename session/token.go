package session

import (
	"context"
	"errors"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// A Request asks for an access token. Its zero value asks for the one of the login.
type Request struct {
	Audience    string        // "": the one of the login
	Scope       string        // "": the one of the login; else the provider has to grant all of it
	MinLifetime time.Duration // a token with less time left is renewed first
	Force       bool          // renew even a good token
	Proves      bool          // the caller sends a proof with a token that needs one, by its Prover; else that is ErrBound
	// Need is what the user's authentication has to be. Where the session's own is not, the token is that of a step-up,
	// and a *StepUpError says that there is none.
	Need provider.Requirement

	since time.Time // see Since
}

// An AccessToken is an access token that may be handed out.
type AccessToken struct {
	Token     provider.Secret
	TokenType string    // Bearer or DPoP
	Expiry    time.Time // zero: the provider did not say
	Scope     string    // as granted
	Audience  string    // "": the provider's default
	// Prover authorizes requests with the token. It is nil for a bearer token, and that does it for those.
	Prover *provider.Prover
}

// AccessToken returns a token that lives for at least r.MinLifetime. Where the provider's tokens are shorter-lived than
// that, it returns one that was just renewed. It returns one that has not expired where a better one can't be had: the
// provider can't be reached or refuses, the keystore can't be written, or another process is busy with the session.
//
// Its errors wrap ErrNotLoggedIn, ErrCannotRenew, ErrLocked, ErrBound, or those of the keystore and the provider. A
// *ScopeError says that r.Scope was not granted; the provider is asked for it again after the next login, or if r.Force
// is set. A provider that can't be reached leaves the session as it is.
func (s *Session) AccessToken(ctx context.Context, r Request) (AccessToken, error) {
	if !r.Need.IsZero() {
		return s.steppedUp(ctx, r)
	}
	t, err := s.accessToken(ctx, r)
	if errors.Is(err, ErrAnotherFactor) {
		return s.afterFactor(ctx, r)
	}
	return t, err
}

// accessToken is AccessToken for the session's own tokens.
func (s *Session) accessToken(ctx context.Context, r Request) (AccessToken, error) {
	asked := s.cfg.Now()
	var out AccessToken
	seen := s.lock.touched()
	st, turn, err := s.readInTurn(ctx, r, seen, asked)
	if err != nil {
		return out, err
	}
	defer func() {
		if turn != nil {
			turn.release()
		}
	}()
	if err := s.admitInTurn(ctx, st, asked, &turn); err != nil {
		return out, err
	}
	if err := s.checkBound(st, r); err != nil {
		return out, err
	}
	var living storedToken // to hand out where a renewal is kept away
	if t := st.find(r); t != nil && !r.Force {
		if t.good(asked, r.MinLifetime, st.RefreshToken == "" && st.whole) {
			if turn != nil { // what was known is wrong: a process with another folder has renewed the session
				s.lock.noteExpiry(st)
			}
			return st.handOut(t), nil
		}
		living = *t
	}
	waiting, cancel := patient(ctx, living.left(asked))
	defer cancel()
	err = s.renew(waiting, renewal{
		request: r,
		asked:   asked,
		seen:    seen,
		read:    st,
		expired: !r.Force && living.left(asked) == 0,
		turn:    turn,
		enough: func(st *state) bool {
			t, now := st.find(r), s.cfg.Now()
			if t == nil || t.expired(now) {
				return false
			}
			// A token obtained since this call began is enough, however short it lives: another caller made the same renewal.
			if obtainedSince(t.Obtained, asked, now) || !r.Force && t.good(asked, r.MinLifetime, st.RefreshToken == "") {
				out = st.handOut(t)
				return true
			}
			return false
		},
		vain: func(st *state) error {
			if r.Force {
				return nil
			}
			return st.ungranted(r)
		},
	})
	if isKeptAway(err) && living.left(s.cfg.Now()) > 0 {
		return st.handOut(&living), nil
	}
	return out, err
}

// readInTurn reads no more of the session than r needs. If that is known to have expired, one caller takes its turn
// first, and returns it; the others read what that one has renewed.
//
// Otherwise, and even where a renewal is forced, it only reads: a keystore that does not answer must not first be
// waited for in a queue.
func (s *Session) readInTurn(
	ctx context.Context, r Request, seen, asked time.Time,
) (st *state, turn *held, err error) {
	if !r.Force && s.lock.knownExpired(r, seen, asked) {
		if turn, err = s.lock.tryTurn(); turn == nil && err == nil {
			st, err = s.readAfterRenewal(ctx, r, seen)
			return st, nil, err
		}
	}
	if st, err = s.readFor(ctx, r); err != nil && turn != nil {
		turn.release()
		turn = nil
	}
	return st, turn, err
}

// IDToken returns the ID token and its expiry. A token with less than minLifetime left is renewed first, any token if
// force is set. Where the provider sends none on renewal, or a renewal can't be made, the old one is returned until it
// expires, then ErrNoIDToken. A provider that sent none is asked again after the next login, or if force is set.
func (s *Session) IDToken(
	ctx context.Context, minLifetime time.Duration, force bool,
) (provider.Secret, time.Time, error) {
	asked, seen := s.cfg.Now(), s.lock.touched()
	st, err := s.load(ctx)
	if err != nil {
		return provider.Secret{}, time.Time{}, err
	}
	if err := s.admit(ctx, st, asked); err != nil {
		return provider.Secret{}, time.Time{}, err
	}
	left := func() time.Duration {
		if st.IDToken == "" {
			return 0
		}
		return st.IDTokenExpiry.Sub(s.cfg.Now())
	}
	enough := func(now *state) bool {
		st = now
		return st.IDToken != "" && st.IDTokenExpiry.After(asked) &&
			(obtainedSince(st.IDTokenObtained, asked, s.cfg.Now()) ||
				!force && !st.IDTokenRefused && st.IDTokenExpiry.After(asked.Add(minLifetime)))
	}
	vain := func(st *state) error {
		if st.RenewsNoIDToken && !force {
			return s.named(ErrNoIDToken)
		}
		return nil
	}
	switch {
	case enough(st):
	case vain(st) != nil:
		err = vain(st)
	default:
		var patience time.Duration
		if !force {
			patience = left()
		}
		waiting, cancel := patient(ctx, patience)
		err = s.renew(waiting, renewal{
			asked: asked, seen: seen, read: st, enough: enough, vain: vain, idToken: true,
		})
		cancel()
	}
	switch {
	case left() > 0 && (err == nil || !force && isKeptAway(err)):
		return provider.NewSecret(st.IDToken), st.IDTokenExpiry, nil
	case err != nil:
		return provider.Secret{}, time.Time{}, err
	}
	return provider.Secret{}, time.Time{}, s.named(ErrNoIDToken)
}

// A caller that has a token which still lives waits no longer than mostPatience for a better one, and gets the living
// one then. The renewal goes on where another process makes it.
const (
	mostPatience  = 10 * time.Second
	leastPatience = 2 * time.Second // to a token that expires sooner no caller is referred
)

var errPatience = errors.New("the renewal takes its time")

// patient returns the context for a renewal that a caller wants who has a token with so much time left.
func patient(ctx context.Context, left time.Duration) (context.Context, context.CancelFunc) {
	if left < 2*leastPatience {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, min(mostPatience, left/2), errPatience)
}

// errUnprepared says that a renewal was not begun, because the keystore could not be written.
var errUnprepared = errors.New("the renewal could not be prepared")

// isKeptAway reports whether err says that a renewal could not be had, and nothing against the tokens of before. An
// error of storing a renewed session is not among them: the user has to know it.
func isKeptAway(err error) bool {
	if errors.As(err, new(*AudienceError)) {
		return false
	}
	for _, kind := range []error{provider.ErrUnreachable, ErrLocked, ErrCannotRenew, errUnprepared, errPatience} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// obtainedSince reports whether a token was obtained after asked. It ignores times in the future: the clock was wrong
// when they were recorded.
func obtainedSince(obtained, asked, now time.Time) bool {
	return obtained.After(asked) && !obtained.After(now)
}
