package session

import (
	"context"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// StoredToken returns the token that AccessToken would return without a renewal, and false if there is none. It asks
// the provider for nothing and waits for no other process.
func (s *Session) StoredToken(ctx context.Context, r Request) (AccessToken, bool, error) {
	if !r.Need.IsZero() {
		return s.storedStepUp(ctx, r)
	}
	now := s.cfg.Now()
	st, err := s.readFor(ctx, r)
	if err == nil {
		err = s.spare(st, now)
	}
	if err == nil {
		err = s.checkBound(st, r)
	}
	if err != nil {
		return AccessToken{}, false, err
	}
	t := st.find(r)
	if t == nil || r.Force || !t.good(now, r.MinLifetime, st.RefreshToken == "" && st.whole) {
		return AccessToken{}, false, nil
	}
	return st.handOut(t), true, nil
}

// StoredIDToken is StoredToken for the ID token.
func (s *Session) StoredIDToken(
	ctx context.Context, minLifetime time.Duration,
) (token provider.Secret, expiry time.Time, ok bool, err error) {
	now := s.cfg.Now()
	st, err := s.load(ctx)
	if err == nil {
		err = s.spare(st, now)
	}
	if err != nil {
		return provider.Secret{}, time.Time{}, false, err
	}
	if st.IDToken == "" || st.IDTokenRefused || !st.IDTokenExpiry.After(now.Add(minLifetime)) {
		return provider.Secret{}, time.Time{}, false, nil
	}
	return provider.NewSecret(st.IDToken), st.IDTokenExpiry, true, nil
}
