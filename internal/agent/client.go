package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// askLimit is how long an agent may take. It is longer than a renewal may, with all that it waits for.
const askLimit = 2 * time.Minute

var errSilent = errors.New("the agent gave no reply in time")

// A Client asks an agent for tokens, as a session would be asked. What the agent reports is a *Failure; if there is no
// agent to ask, the error is a *keystore.UnavailableError.
type Client struct {
	path, profile string
	http          http.Client
}

var _ credential.Source = (*Client)(nil)

// Dial returns the client of the agent at a socket. It does not connect yet. An agent for another profile than the
// named one is ErrOtherProfile; "" is any.
func Dial(path, profile string) *Client {
	return &Client{path: path, profile: profile, http: http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return localhost.DialSocket(ctx, path)
			},
			DisableKeepAlives: true, // a connection to the same machine costs little
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// AccessToken is session.Session.AccessToken.
func (c *Client) AccessToken(ctx context.Context, r session.Request) (session.AccessToken, error) {
	t, ok, err := c.accessToken(ctx, r, false)
	if err == nil && !ok {
		err = c.unavailable(ReasonSilent, "its reply can't be understood", nil)
	}
	return t, err
}

// StoredToken is session.Session.StoredToken.
func (c *Client) StoredToken(ctx context.Context, r session.Request) (session.AccessToken, bool, error) {
	return c.accessToken(ctx, r, true)
}

func (c *Client) accessToken(ctx context.Context, r session.Request, stored bool) (session.AccessToken, bool, error) {
	var reply credential.AccessTokenJSON
	q := parameters(r.Audience, r.Scope)
	maps.Copy(q, r.Need.Params())
	timing(q, r.MinLifetime, r.Force, stored)
	if r.Proves {
		q.Set("proves", "true")
	}
	err := c.ask(ctx, http.MethodGet, tokenPath, q, "", &reply)
	token := reply.Token()
	if token.TokenType == provider.BoundTokenType {
		token.Prover = provider.RemoteProver(c.proofMaker(r))
	}
	return token, reply.AccessToken != "", err
}

// proofMaker returns what has the agent make the proofs for the tokens of a request.
func (c *Client) proofMaker(of session.Request) provider.ProofMaker {
	return func(r *http.Request, token provider.Secret, nonce string) (provider.Secret, error) {
		var reply proofJSON
		q := parameters(of.Audience, of.Scope)
		maps.Copy(q, of.Need.Params())
		q.Set("method", r.Method)
		q.Set("url", provider.ProofTarget(r))
		if nonce != "" {
			q.Set("nonce", nonce)
		}
		err := c.ask(r.Context(), http.MethodPost, proofPath, q, token.Reveal(), &reply)
		if err == nil && reply.Proof == "" {
			err = c.unavailable(ReasonSilent, "its reply can't be understood", nil)
		}
		return provider.NewSecret(reply.Proof), err
	}
}

// IDToken is session.Session.IDToken.
func (c *Client) IDToken(
	ctx context.Context, minLifetime time.Duration, force bool,
) (provider.Secret, time.Time, error) {
	token, expiry, ok, err := c.idToken(ctx, minLifetime, force, false)
	if err == nil && !ok {
		err = c.unavailable(ReasonSilent, "its reply can't be understood", nil)
	}
	return token, expiry, err
}

// StoredIDToken is session.Session.StoredIDToken.
func (c *Client) StoredIDToken(
	ctx context.Context, minLifetime time.Duration,
) (token provider.Secret, expiry time.Time, ok bool, err error) {
	return c.idToken(ctx, minLifetime, false, true)
}

func (c *Client) idToken(
	ctx context.Context, minLifetime time.Duration, force, stored bool,
) (token provider.Secret, expiry time.Time, ok bool, err error) {
	var reply credential.IDTokenJSON
	q := url.Values{}
	timing(q, minLifetime, force, stored)
	err = c.ask(ctx, http.MethodGet, idTokenPath, q, "", &reply)
	token, expiry = reply.Token()
	return token, expiry, reply.IDToken != "", err
}

// Refuse is session.Session.Refuse.
func (c *Client) Refuse(ctx context.Context, r session.Refusal) error {
	q := parameters(r.Request.Audience, r.Request.Scope)
	maps.Copy(q, r.Request.Need.Params())
	if r.IDToken {
		q.Set("id_token", "true")
	}
	return c.ask(ctx, http.MethodPost, refusedPath, q, r.Token.Reveal(), nil)
}

// parameters returns those that are the same wherever a token is named.
func parameters(audience, scope string) url.Values {
	q := url.Values{}
	if audience != "" {
		q.Set("audience", audience)
	}
	if scope != "" {
		q.Set("scope", scope)
	}
	return q
}

// timing adds how long a token has to live, and whether it has to be a new one, or one that is there.
func timing(q url.Values, minLifetime time.Duration, force, stored bool) {
	q.Set("min_ttl", minLifetime.String())
	for name, set := range map[string]bool{"force": force, "stored": stored} {
		if set {
			q.Set(name, "true")
		}
	}
}

// ask sends a request, and decodes the reply.
func (c *Client) ask(ctx context.Context, method, path string, q url.Values, body string, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askLimit, errSilent)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path+"?"+q.Encode(), strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.http.Do(r)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, tokenLimit))
	if err != nil {
		return c.explain(ctx, err)
	}
	return c.read(res, data, into)
}

// read decodes a reply.
func (c *Client) read(res *http.Response, data []byte, into any) error {
	switch res.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusOK:
		if there := res.Header.Get(profileHeader); c.profile != "" && there != c.profile {
			return fmt.Errorf("%w: %q", ErrOtherProfile, words.Line(there, 100))
		}
		if into != nil && json.Unmarshal(data, into) == nil {
			return nil
		}
	default:
		f := new(Failure)
		if json.Unmarshal(data, f) == nil && f.Code != "" && f.Text != "" {
			return f
		}
	}
	return c.unavailable(ReasonSilent, "its reply can't be understood", nil)
}

// explain says why the agent could not be asked. What net/http says has the whole URL in it.
func (c *Client) explain(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		return c.unavailable(ReasonSilent, "it gave no reply in time", nil)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, localhost.ErrSocketForeign):
		return c.unavailable(ReasonForeign, "another user answers there", nil)
	case errors.Is(err, localhost.ErrSocketUsers):
		return c.unavailable(ReasonSystem, localhost.ErrSocketUsers.Error(), nil)
	}
	return c.unavailable(ReasonGone, "nothing answers there", err)
}

func (c *Client) unavailable(reason keystore.Reason, why string, err error) error {
	return &keystore.UnavailableError{What: "the agent at " + words.Printable(c.path), Why: why, Reason: reason, Err: err}
}
