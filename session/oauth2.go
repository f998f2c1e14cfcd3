package session

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/oauth2"
)

// TokenSource returns the access tokens that r asks for, for golang.org/x/oauth2 and what is built on it. Each call of
// Token asks the session, as AccessToken does, until ctx ends. An r.MinLifetime of 0 means a minute, so that the token
// does not expire on its way.
//
// oauth2.NewClient and oauth2.ReuseTokenSource keep a token until it expires. So that they do not keep one for ever, a
// token whose provider gave no expiry is said to expire in five minutes.
func (s *Session) TokenSource(ctx context.Context, r Request) oauth2.TokenSource {
	r.MinLifetime = cmp.Or(r.MinLifetime, time.Minute)
	return &tokenSource{ctx, s, r}
}

type tokenSource struct {
	ctx     context.Context // the interface of oauth2 passes none
	session *Session
	request Request
}

func (t *tokenSource) Token() (*oauth2.Token, error) {
	token, err := t.session.AccessToken(t.ctx, t.request)
	if err != nil {
		return nil, err
	}
	expiry := token.Expiry
	if expiry.IsZero() {
		expiry = t.session.cfg.Now().Add(unknownLifetime)
	}
	return &oauth2.Token{AccessToken: token.Token.Reveal(), TokenType: token.TokenType, Expiry: expiry}, nil
}

// Client is for programs that call an API: it returns an HTTP client that sends the access token that r asks for with
// each request, as that of oauth2.NewClient does. Unlike that one it sends the token to no other origin that a response
// redirects to: the caller gets the redirect as the response.
func (s *Session) Client(ctx context.Context, r Request) *http.Client {
	client := oauth2.NewClient(ctx, s.TokenSource(ctx, r))
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch first := via[0].URL; {
		case req.URL.Scheme != first.Scheme || req.URL.Host != first.Host:
			return http.ErrUseLastResponse
		case len(via) >= 10: // as http.Client does it
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}
	return client
}
