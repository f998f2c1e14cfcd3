package webui

import (
	"context"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/kept"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// appTokenLife is how long the token for the app lives at least, where the provider gives such.
const appTokenLife = time.Minute

// An appToken has the access token that the app gets with every request of the user whom Guard let through.
type appToken struct {
	tokens  *kept.Tokens
	watch   *watch
	request session.Request

	mu       sync.Mutex
	state    time.Time // of the session; its tokens are those of the login at loggedIn; zero: not known of any
	loggedIn time.Time // identifies a login
}

func (s *Server) newAppToken() *appToken {
	return &appToken{
		tokens: kept.New(s.cfg.Session, s.cfg.Now), watch: s.watch,
		request: session.Request{Audience: s.cfg.Audience, MinLifetime: appTokenLife},
	}
}

// get returns an access token of the login for which Guard let a request through; ctx is the context of that request.
// Where that login has ended meanwhile, or another has taken its place, the error is session.ErrNotLoggedIn.
func (a *appToken) get(ctx context.Context) (provider.Secret, error) {
	var info session.Info
	if visit, ok := ctx.Value(visitKey{}).(*view); ok {
		info = visit.info
	}
	token, state, err := a.tokens.At(ctx, a.request)
	if err != nil {
		return provider.Secret{}, err
	}
	if a.isOf(info.LoggedInAt, state) {
		return token.Token, nil
	}
	a.watch.refresh(ctx, false)
	switch v := a.watch.view(ctx); {
	case v.err != nil:
		return provider.Secret{}, v.err
	case !v.loggedIn || !v.info.LoggedInAt.Equal(info.LoggedInAt):
		return provider.Secret{}, session.ErrNotLoggedIn
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state, a.loggedIn = state, info.LoggedInAt
	return token.Token, nil
}

// isOf reports whether it is known that the tokens of a state of the session are those of a login.
func (a *appToken) isOf(loggedIn, state time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.state.IsZero() && a.state.Equal(state) && a.loggedIn.Equal(loggedIn)
}
