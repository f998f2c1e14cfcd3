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
}

// An AccessToken is an access token that may be handed out.
type AccessToken struct {
	Token     provider.Secret
	TokenType string
	Expiry    time.Time // zero: the provider did not say
	Scope     string    // as granted
	Audience  string    // "": the provider's default
}

// AccessToken returns a token that lives for at least r.MinLifetime. Where the provider's tokens are shorter-lived than
// that, it returns one that was just renewed; where a better one can't be had because the provider can't be reached,
// one that has not expired.
//
// Its errors wrap ErrNotLoggedIn, ErrCannotRenew, ErrLocked, or the errors of the keystore and the provider. A
// *ScopeError says that r.Scope was not granted. A provider that can't be reached leaves the session as it is.
func (s *Session) AccessToken(ctx context.Context, r Request) (AccessToken, error) {
	asked := s.cfg.Now()
	var out AccessToken
	seen := s.lock.touched()
	// Even where a renewal is forced: a keystore that does not answer must not first be waited for in a queue.
	st, err := s.readFor(ctx, r)
	if err != nil {
		return out, err
	}
	if err := st.alive(asked); err != nil {
		return out, err
	}
	if t := st.find(r); t != nil && !r.Force {
		if t.good(asked, r.MinLifetime, st.RefreshToken == "" && st.whole) {
			return t.handOut(), nil
		}
		if !t.expired(asked) {
			out = t.handOut()
		}
	}
	err = s.renew(ctx, renewal{
		request: r,
		asked:   asked,
		seen:    seen,
		enough: func(st *state) bool {
			t, now := st.find(r), s.cfg.Now()
			if t == nil || t.expired(now) {
				return false
			}
			// A token obtained since this call began is enough, however short it lives: another caller made the same renewal.
			if obtainedSince(t.Obtained, asked, now) || !r.Force && t.good(asked, r.MinLifetime, st.RefreshToken == "") {
				out = t.handOut()
				return true
			}
			return false
		},
	})
	if errors.Is(err, provider.ErrUnreachable) && !out.Token.IsZero() {
		return out, nil
	}
	return out, err
}

// IDToken returns the ID token and its expiry. A token with less than minLifetime left is renewed first, any token if
// force is set. Where the provider sends none on renewal, the old one is returned until it expires, then ErrNoIDToken.
func (s *Session) IDToken(
	ctx context.Context, minLifetime time.Duration, force bool,
) (provider.Secret, time.Time, error) {
	asked, seen := s.cfg.Now(), s.lock.touched()
	st, err := s.load(ctx)
	if err != nil {
		return provider.Secret{}, time.Time{}, err
	}
	if err := st.alive(asked); err != nil {
		return provider.Secret{}, time.Time{}, err
	}
	enough := func(now *state) bool {
		st = now
		return st.IDToken != "" && st.IDTokenExpiry.After(asked) &&
			(obtainedSince(st.IDTokenObtained, asked, s.cfg.Now()) || !force && st.IDTokenExpiry.After(asked.Add(minLifetime)))
	}
	if !enough(st) {
		err = s.renew(ctx, renewal{asked: asked, seen: seen, enough: enough, idToken: true})
	}
	alive := st.IDToken != "" && st.IDTokenExpiry.After(s.cfg.Now())
	switch {
	case alive && (err == nil || !force && errors.Is(err, ErrCannotRenew)):
		return provider.NewSecret(st.IDToken), st.IDTokenExpiry, nil
	case err != nil:
		return provider.Secret{}, time.Time{}, err
	}
	return provider.Secret{}, time.Time{}, ErrNoIDToken
}

// obtainedSince reports whether a token was obtained after asked. It ignores times in the future: the clock was wrong
// when they were recorded.
func obtainedSince(obtained, asked, now time.Time) bool {
	return obtained.After(asked) && !obtained.After(now)
}
