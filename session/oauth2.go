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
//
// A token that is bound to a key needs a proof with each request, which oauth2 does not send: Token returns ErrBound.
// Client sends the proofs.
func (s *Session) TokenSource(ctx context.Context, r Request) oauth2.TokenSource {
	r.MinLifetime, r.Proves = cmp.Or(r.MinLifetime, time.Minute), false
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
	out := &oauth2.Token{AccessToken: token.Token.Reveal(), TokenType: token.TokenType, Expiry: expiry}
	if token.Prover != nil {
		out = out.WithExtra(map[string]any{proverExtra: token.Prover})
	}
	return out, nil
}

// Client is for programs that call an API: it returns an HTTP client that sends the access token that r asks for with
// each request, as that of oauth2.NewClient does. Unlike that one it sends the token to no other origin that a response
// redirects to: the caller gets the redirect as the response. With a token that is bound to a key it sends the proof
// (DPoP), and a request once more that lacked the server's nonce there, unless the request's body can't be read twice.
func (s *Session) Client(ctx context.Context, r Request) *http.Client {
	r.MinLifetime, r.Proves = cmp.Or(r.MinLifetime, time.Minute), true
	source := oauth2.ReuseTokenSource(nil, &tokenSource{ctx, s, r})
	client := oauth2.NewClient(ctx, source)
	client.Transport = &authorizing{source: source, base: baseOf(client)}
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

// baseOf returns the transport under that of a client which oauth2.NewClient made.
func baseOf(client *http.Client) http.RoundTripper {
	if t, ok := client.Transport.(*oauth2.Transport); ok && t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}
