package session

import (
	"context"
	"errors"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// revokeLimit is how long the provider has to revoke: a person waits for it, and deleting comes after.
const revokeLimit = 10 * time.Second

// EndOptions say how to log out.
type EndOptions struct {
	Local                 bool   // delete here, and say nothing to the provider: the refresh token lives on there
	PostLogoutRedirectURI string // where the provider sends the browser afterwards; registered there, to the letter
	State                 string // comes back with it
}

// Ended says what a logout did. What it could not do is in the errors.
type Ended struct {
	WasLoggedIn bool
	Revoked     bool  // the refresh token is dead at the provider
	RevokeError error // why it is not; wraps provider.ErrNoEndpoint where the provider has no revocation
	HadRefresh  bool
	Deleted     bool // nothing is left in the keystore
	// EndSessionURL ends the provider's own session when the person's browser opens it (OpenID Connect RP-Initiated Logout 1.0).
	// It holds the ID token as a hint, so it is for a redirect alone: never for a screen or an argument list.
	EndSessionURL string
	// EndSessionPlainURL is the same without the hint: the provider may ask the person before it obeys.
	EndSessionPlainURL string
	EndSessionError    error
	Unreadable         error // what was stored could not be read, so it could only be deleted
	NoteError          error // the note of where the session was could not be taken away
}

// End revokes the refresh token (RFC 7009), deletes the session, and returns the
// URL that ends the provider's session in the browser. Whatever the provider
// says or fails to say, the session is deleted here; the error tells of that alone,
// and what was done by then is in Ended.
func (s *Session) End(ctx context.Context, o EndOptions) (Ended, error) {
	var ended Ended
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return ended, err
	}
	defer lock.release()
	st, err := s.load(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn):
	case errors.Is(err, keystore.ErrCorrupt):
		ended.WasLoggedIn, ended.Unreadable = true, err
	case o.Local && errors.Is(err, keystore.ErrUnavailable): // a forgotten passphrase keeps nobody from deleting
		ended.WasLoggedIn, ended.Unreadable = true, err
	case err != nil:
		return ended, err
	default:
		ended.WasLoggedIn = true
		if !o.Local {
			s.endAtProvider(ctx, st, o, &ended)
		}
	}
	// An interruption ends the talk with the provider, not the deleting.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	if err := s.cfg.Store.Delete(ctx, s.name); err != nil {
		return ended, s.explain(err)
	}
	ended.Deleted = true
	s.forgetAttempt()
	s.lock.touch()
	ended.NoteError = known.Forget(s.cfg.StateDir, s.name)
	return ended, nil
}

func (s *Session) endAtProvider(ctx context.Context, st *state, o EndOptions, ended *Ended) {
	ctx, cancel := context.WithTimeout(ctx, revokeLimit)
	defer cancel()
	ended.HadRefresh = st.RefreshToken != ""
	if ended.HadRefresh {
		ended.RevokeError = s.cfg.Provider.Revoke(ctx, provider.NewSecret(st.RefreshToken))
		ended.Revoked = ended.RevokeError == nil
	}
	ended.EndSessionURL, ended.EndSessionError = s.cfg.Provider.EndSessionURL(ctx,
		provider.NewSecret(st.IDToken), o.PostLogoutRedirectURI, o.State)
	if ended.EndSessionError == nil {
		ended.EndSessionPlainURL, ended.EndSessionError = s.cfg.Provider.EndSessionURL(ctx,
			provider.Secret{}, o.PostLogoutRedirectURI, o.State)
	}
}
