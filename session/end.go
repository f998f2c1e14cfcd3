package session

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// revokeLimit is how long the provider has to revoke: a person waits, and the session is deleted only afterwards.
const revokeLimit = 10 * time.Second

// EndOptions say how to log out.
type EndOptions struct {
	Local                 bool   // delete here and ask nothing of the provider, where the refresh token lives on
	PostLogoutRedirectURI string // where the provider sends the browser afterwards; registered there, to the letter
	State                 string // comes back with the browser
	// Only is asked, under the session's lock, whether the session that is there now is the one to end. nil: any. One
	// that can't be read is not ended, and that is an error.
	Only func(Info) bool
}

// Ended says what a logout did, and why it did not do the rest.
type Ended struct {
	WasLoggedIn bool
	HadRefresh  bool  // there was a refresh token to revoke
	Revoked     bool  // the provider revoked it
	RevokeError error // why it did not; wraps provider.ErrNoEndpoint where the provider has no revocation
	// EndSessionURL ends the provider's own session when the user's browser opens it (OpenID Connect RP-Initiated Logout
	// 1.0). It holds the ID token as a hint, so it is for a redirect alone: never for a screen or an argument list.
	EndSessionURL string
	// EndSessionPlainURL is the same without the hint. The provider may ask the user before it obeys.
	EndSessionPlainURL string
	EndSessionError    error // why there are no such URLs
	Unreadable         error // why the stored session could not be read; it was deleted all the same
	NoteError          error // why the note of Config.Known could not be removed
}

// End revokes the refresh token (RFC 7009), deletes the session, and returns the URLs that end the provider's session
// in a browser. It deletes the session whatever the provider says or fails to say. The error says that the session is
// not deleted; what was done before is in Ended.
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
	case o.Only != nil && err != nil: // nobody can tell whose it is, so nobody else may end it
		return ended, err
	case o.Only != nil && !o.Only(s.info(st)):
		return ended, nil
	case errors.Is(err, keystore.ErrCorrupt) && !errors.Is(err, keystore.ErrUnavailable),
		o.Local && errors.Is(err, keystore.ErrUnavailable): // a forgotten passphrase keeps nobody from deleting
		ended.WasLoggedIn, ended.Unreadable = true, err
	case err != nil:
		return ended, err
	default:
		ended.WasLoggedIn = true
		if !o.Local {
			s.endAtProvider(ctx, st, o, &ended)
		}
	}
	// An interruption ends the wait for the provider, not the deleting.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	if err := s.forgetDerived(ctx); err != nil {
		return ended, err
	}
	if err := s.forgetClientTokens(ctx); err != nil {
		return ended, err
	}
	if err := s.endStepUps(ctx, st, func(ctx context.Context, t provider.Secret) {
		if !o.Local {
			ended.revoke(ctx, s.cfg.Provider, t)
		}
	}); err != nil {
		return ended, err
	}
	if err := s.cfg.Store.Delete(ctx, s.name); err != nil {
		return ended, s.explain(err)
	}
	s.forgetAttempt()
	s.lock.touch()
	s.lock.forgetExpiries()
	s.forgetAbout()
	_ = os.Remove(s.usedFile())
	ended.NoteError = known.Forget(s.cfg.StateDir, s.name, s.cfg.Known.Keystore)
	if ended.WasLoggedIn {
		s.cfg.Record(Event{Kind: EventLogout})
	}
	return ended, nil
}

// revoke revokes the refresh token of a step-up. That fails as a whole where one of the tokens stays alive.
func (e *Ended) revoke(ctx context.Context, p *provider.Provider, refreshToken provider.Secret) {
	ctx, cancel := context.WithTimeout(ctx, revokeLimit)
	defer cancel()
	err := p.Revoke(ctx, refreshToken)
	if err != nil && e.RevokeError == nil {
		e.RevokeError, e.Revoked = err, false
	}
	if !e.HadRefresh {
		e.HadRefresh, e.Revoked = true, err == nil
	}
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
