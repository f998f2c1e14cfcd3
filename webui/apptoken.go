package webui

import (
	"context"
	"sync"
	"time"

	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

const (
	appTokenLife = time.Minute // how long the token for the app lives at least, where the provider gives such
	unknownLife  = time.Minute // how long a token is kept whose expiry the provider did not give
)

// An appToken keeps the access token that the app gets with every request, because a page of an app makes a hundred of
// them and a keychain takes milliseconds for each. What it keeps counts for one state of the session.
type appToken struct {
	session *session.Session
	watch   *watch
	request session.Request
	now     func() time.Time

	mu       sync.Mutex
	token    provider.Secret
	stamp    time.Time // session.Changed when the token was read; zero: none is kept
	loggedIn time.Time // identifies the login that the token is of
	until    time.Time // the token is read again from then on
}

func (s *Server) newAppToken() *appToken {
	return &appToken{
		session: s.cfg.Session, watch: s.watch, now: s.cfg.Now,
		request: session.Request{Audience: s.cfg.Audience, MinLifetime: appTokenLife},
	}
}

// get returns an access token of the login for which Guard let a request through; ctx is the context of that request.
// Where that login has ended meanwhile, or another has taken its place, the error is session.ErrNotLoggedIn.
func (a *appToken) get(ctx context.Context) (provider.Secret, error) {
	info, _ := ctx.Value(visitKey{}).(session.Info)
	stamp := a.session.Changed() // before the token is read: a change meanwhile makes it too old
	if token, ok := a.kept(stamp, info.LoggedInAt); ok {
		return token, nil
	}
	token, err := a.session.AccessToken(ctx, a.request)
	if err != nil {
		return provider.Secret{}, err
	}
	a.watch.refresh(ctx, false)
	switch v := a.watch.view(ctx); {
	case v.err != nil:
		return provider.Secret{}, v.err
	case !v.loggedIn || !v.info.LoggedInAt.Equal(info.LoggedInAt):
		return provider.Secret{}, session.ErrNotLoggedIn
	}
	a.keep(token, stamp, info.LoggedInAt)
	return token.Token, nil
}

// kept returns the token that is kept for this state of this login.
func (a *appToken) kept(stamp, loggedIn time.Time) (provider.Secret, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ok := !a.stamp.IsZero() && a.stamp.Equal(stamp) && a.loggedIn.Equal(loggedIn) && a.now().Before(a.until)
	return a.token, ok
}

// keep keeps a token until it has less than appTokenLife left. One that is given out with less, because no better one
// can be had, is kept for half of that.
func (a *appToken) keep(t session.AccessToken, stamp, loggedIn time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	a.token, a.stamp, a.loggedIn = t.Token, stamp, loggedIn
	a.until = now.Add(unknownLife)
	if !t.Expiry.IsZero() {
		left := t.Expiry.Sub(now)
		a.until = now.Add(max(left-appTokenLife, left/2))
	}
}
