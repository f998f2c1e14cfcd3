package session

import (
	"context"
	"errors"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// Take deletes the session from its keystore and returns its refresh token, for Retire of a login that was stored in
// another keystore. Where there is no session, or only one that can't be read, the refresh token is zero. The error
// says that the session may still be there.
func (s *Session) Take(ctx context.Context) (refreshToken provider.Secret, err error) {
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return refreshToken, err
	}
	defer lock.release()
	st, err := s.load(ctx)
	switch {
	case err == nil:
		refreshToken = provider.NewSecret(st.RefreshToken)
	case !errors.Is(err, ErrNotLoggedIn) && !errors.Is(err, keystore.ErrCorrupt):
		return refreshToken, err
	}
	if err := s.forgetDerived(ctx); err != nil {
		return provider.Secret{}, err
	}
	// Their refresh tokens expire: to revoke one may end the login that takes the session's place.
	if err := s.endStepUps(ctx, st, func(context.Context, provider.Secret) {}); err != nil {
		return provider.Secret{}, err
	}
	if err := s.cfg.Store.Delete(ctx, s.name); err != nil {
		return provider.Secret{}, s.explain(err)
	}
	return refreshToken, known.Forget(s.cfg.StateDir, s.name, s.cfg.Known.Keystore)
}
