package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/challenge"
	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	sessions "github.com/loopkey/loopkey/session"
)

var (
	// ErrLoginNeeded says that the server wants a login, and that no browser is opened for it.
	ErrLoginNeeded = errors.New("the MCP server wants a login")
	// ErrTokenRefused says that the server refuses the token of a login, or of a renewal, that was only just made.
	ErrTokenRefused = errors.New("the MCP server refuses a token that was just issued for it")
	// ErrAuthenticationRefused says that the server wants another authentication than a login for it has just made.
	ErrAuthenticationRefused = errors.New("the MCP server wants another authentication than the login made")
	// ErrScopeRefused says that the server wants a scope that the login has asked for, or does not say which.
	ErrScopeRefused = errors.New("the MCP server refuses the request for lack of a scope")
)

// AuthorizationConfig is what the authorization for one server is made of.
type AuthorizationConfig struct {
	URL string // of the server: https, or http to a loopback host

	// The client that the person has registered; "": one is registered. It is used at ClientIssuer alone; with "" that is
	// whichever authorization server the server names, which then gets no secret.
	ClientID, ClientIssuer string
	ClientSecret           provider.Secret
	// Client says by what else the client authenticates at ClientIssuer, and whether its tokens are bound to a key.
	Client       known.Client
	Scope        string      // in place of what the server says; "": that
	Header       http.Header // for requests to the server itself
	RedirectURIs []string    // of a client that is registered, in the order in which they are tried
	ClientURIs   []string    // the same of a configured client; nil: the first of RedirectURIs
	NoBrowser    bool        // no login is begun

	Store              keystore.Store // of new logins and of the clients that were registered
	Keystore           string         // its name in notes
	StateDir, CacheDir string
	HTTPClient         *http.Client // nil: one with limits

	// Session opens the session of a client.
	Session func(c known.Client, secret provider.Secret) (*sessions.Session, error)
	// Begin starts a process that calls LogIn with the wish, and does not wait for it. That process must outlive this one:
	// a host may end a bridge while the person is still logging in.
	Begin func(context.Context, Wish) error
	Now   func() time.Time // nil: the clock on the wall
}

// A Wish is what a login is begun for. The zero Wish is that of a person.
type Wish struct {
	Metadata string    `json:"metadata,omitempty"` // where the server said that its metadata is
	Scope    []string  `json:"scope,omitempty"`    // that the server asked for
	StepUp   bool      `json:"step_up,omitempty"`  // Scope has more than an earlier login asked for, and all of that
	Unknown  string    `json:"unknown,omitempty"`  // the ID of a client that the authorization server no longer knows
	Began    time.Time `json:"began,omitzero"`     // when the login was begun, for LogIn in another process

	// Need is what the server said the person's authentication has to be. It is asked for; whether it was met the server
	// alone can tell, for such a login has no ID token.
	Need provider.Requirement `json:"need,omitzero"`
}

// An Authorization has the access tokens for one MCP server, and follows the authorization of MCP 2025-06-18 to
// 2026-07-28. All processes of the user share its session and its logins. It is safe for concurrent use.
type Authorization struct {
	cfg    AuthorizationConfig
	server *url.URL
	http   *http.Client

	mu      sync.Mutex
	opened  map[string]*sessions.Session // by name and keystore
	held    heldToken
	renewed renewal
}

var _ Authorizer = (*Authorization)(nil)

// A heldToken is the token of a session as it was stored at a time.
type heldToken struct {
	session *sessions.Session
	changed time.Time
	token   sessions.AccessToken
}

// A renewal is the last one that was made because the server had refused a token.
type renewal struct {
	token provider.Secret // that came
	at    time.Time
	row   int // how many in a row brought a token that the server refused at once
}

// NewAuthorization checks the configuration. It makes no request and reads no file.
func NewAuthorization(cfg AuthorizationConfig) (*Authorization, error) {
	server, err := parseURL(cfg.URL)
	if err == nil {
		err = checkHeader(cfg.Header)
	}
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	return &Authorization{
		cfg: cfg, server: server, http: newClient(cfg.HTTPClient), opened: map[string]*sessions.Session{},
	}, nil
}

// leastLife is how long a token has to be good, so that it does not expire on its way.
const leastLife = 30 * time.Second

// Token returns the access token for the next request, renewed if it has to be. It is the zero Token where a login is
// needed first, which only the server's refusal begins. A provider that can't be reached is an error.
func (a *Authorization) Token(ctx context.Context) (Token, error) {
	token, err := a.obtain(ctx, false)
	if needsLogin(err) {
		return Token{}, nil
	}
	return Token{token.Token, token.Prover}, err
}

// needsLogin reports whether an error says that only a login gets a token.
func needsLogin(err error) bool {
	return errors.Is(err, sessions.ErrNotLoggedIn) || errors.Is(err, sessions.ErrCannotRenew) ||
		errors.Is(err, keystore.ErrCorrupt) || isUnknownClient(err)
}

func isUnknownClient(err error) bool {
	return provider.Diagnose(err).Reason == provider.ReasonUnknownClient
}

// obtain returns the access token of the session, a renewed one if force is set. Without a session the error is
// ErrNotLoggedIn.
func (a *Authorization) obtain(ctx context.Context, force bool) (sessions.AccessToken, error) {
	s, err := a.session(ctx)
	if err != nil {
		return sessions.AccessToken{}, err
	}
	changed := s.Changed()
	a.mu.Lock()
	held := a.held
	a.mu.Unlock()
	if !force && held.session == s && held.changed.Equal(changed) && held.token.Expiry.After(a.cfg.Now().Add(leastLife)) {
		return held.token, nil
	}
	token, err := s.AccessToken(ctx, sessions.Request{MinLifetime: leastLife, Force: force, Proves: true})
	if err != nil {
		return sessions.AccessToken{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = heldToken{s, changed, token} // if the session changed meanwhile, the next call sees that
	return token, nil
}

// session returns the session of the last login to the server, or ErrNotLoggedIn.
func (a *Authorization) session(ctx context.Context) (*sessions.Session, error) {
	c := readState(a.cfg.StateDir, a.cfg.URL).Session
	other := a.isConfigured(c.Issuer) && c.ClientID != a.cfg.ClientID
	if c.Resource == "" || other || !covers(c.Resource, a.server) {
		return nil, fmt.Errorf("%s: %w", words.Printable(a.cfg.URL), sessions.ErrNotLoggedIn)
	}
	c = a.authenticating(c)
	key := c.Name() + " " + c.Keystore
	a.mu.Lock()
	s := a.opened[key]
	a.mu.Unlock()
	if s != nil {
		return s, nil
	}
	secret, err := a.secretOf(ctx, c)
	if err != nil {
		return nil, err
	}
	if s, err = a.cfg.Session(c, secret); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if first := a.opened[key]; first != nil {
		return first, nil
	}
	a.opened[key] = s
	return s, nil
}

// isOwn reports whether an issuer's client is the configured one, and the issuer the one that it is configured for.
func (a *Authorization) isOwn(issuer string) bool {
	return a.isConfigured(issuer) && a.cfg.ClientIssuer == issuer
}

// authenticating returns a client with what it authenticates by as that is configured now, if it is.
func (a *Authorization) authenticating(c known.Client) known.Client {
	if a.isOwn(c.Issuer) && (a.cfg.Client.ClientKey != "" || a.cfg.Client.ClientCertificate != "") {
		return c.AuthenticatingAs(a.cfg.Client)
	}
	return c
}

// secretOf returns the secret of a client: the configured one, or that of a registration.
func (a *Authorization) secretOf(ctx context.Context, c known.Client) (provider.Secret, error) {
	if a.isConfigured(c.Issuer) {
		if a.isOwn(c.Issuer) {
			return a.cfg.ClientSecret, nil
		}
		return provider.Secret{}, nil
	}
	return ClientSecret(ctx, a.cfg.Store, c.Issuer, c.ClientID)
}

// Challenged is told that the server refused a request. A refused token is renewed. Where that can't be, or there is
// none, or its scope does not suffice, the person has to log in: Challenged begins a login, unless one waits already or
// nobody finished the last one, and waits for it. An authorization server that can't be reached begins none.
func (a *Authorization) Challenged(
	ctx context.Context, status int, challenges []string, sent provider.Secret,
) error {
	c := challenge.Parse(challenges)
	token, err := a.obtain(ctx, false)
	if err == nil && token.Token.Reveal() != sent.Reveal() { // another request, or another process, has got it meanwhile
		return nil
	}
	if err != nil && !needsLogin(err) {
		return err
	}
	if err == nil && c.Error == challenge.InsufficientAuthentication {
		return a.authenticate(ctx, c, sent)
	}
	if err == nil && status == http.StatusForbidden {
		return a.stepUp(ctx, c, token, sent)
	}
	if err == nil {
		if token, err = a.renew(ctx, sent); err == nil {
			return nil
		}
		if !needsLogin(err) {
			return err
		}
	}
	w := Wish{Metadata: c.Metadata, Scope: c.Scope}
	if isUnknownClient(err) {
		c := readState(a.cfg.StateDir, a.cfg.URL).Session
		if a.isConfigured(c.Issuer) {
			return err
		}
		w.Unknown = c.ClientID
	}
	return a.login(ctx, w, sent)
}

const (
	// justNow is how long a login, or a renewal, is so new that another one would bring nothing else.
	justNow = time.Minute
	// mostInRow is how many renewals in a row may bring a token that the server refuses at once.
	mostInRow = 3
)

// renew renews the token that the server refused. If renewals bring only tokens that it refuses, or none, the error
// wraps ErrCannotRenew, or ErrTokenRefused just after a login.
func (a *Authorization) renew(ctx context.Context, refused provider.Secret) (sessions.AccessToken, error) {
	a.mu.Lock()
	row, now := 0, a.cfg.Now()
	if a.renewed.token.Reveal() == refused.Reveal() && clock.Within(a.renewed.at, now, justNow) {
		row = a.renewed.row + 1
	}
	a.mu.Unlock()
	again := row >= mostInRow
	var token sessions.AccessToken
	err := fmt.Errorf("%w: the server refuses what a renewal brings", sessions.ErrCannotRenew)
	if !again {
		token, err = a.replace(ctx, refused)
	}
	switch {
	case err == nil:
		a.mu.Lock()
		a.renewed = renewal{token.Token, now, row}
		a.mu.Unlock()
	case again, errors.Is(err, sessions.ErrNoRefreshToken):
		if clock.Within(readState(a.cfg.StateDir, a.cfg.URL).LoggedIn, now, justNow) {
			return token, ErrTokenRefused
		}
	}
	return token, err
}

// replace returns a token in place of the one that the server refused. However many processes report the same token, it
// is renewed once.
func (a *Authorization) replace(ctx context.Context, refused provider.Secret) (sessions.AccessToken, error) {
	s, err := a.session(ctx)
	if err != nil {
		return sessions.AccessToken{}, err
	}
	if err := s.Refuse(ctx, sessions.Refusal{Token: refused}); err != nil {
		return sessions.AccessToken{}, err
	}
	token, err := a.obtain(ctx, false)
	if err == nil && token.Token.Reveal() == refused.Reveal() { // it could not be renewed: the error says why
		token, err = a.obtain(ctx, true)
	}
	return token, err
}

// stepUp logs in for the scope that the server asks for, together with what was asked for before.
func (a *Authorization) stepUp(
	ctx context.Context, c challenge.Bearer, token sessions.AccessToken, sent provider.Secret,
) error {
	asked := readState(a.cfg.StateDir, a.cfg.URL).Asked
	has := slices.Concat(asked, strings.Fields(token.Scope))
	missing := slices.DeleteFunc(slices.Clone(c.Scope), func(s string) bool { return slices.Contains(has, s) })
	switch {
	case len(c.Scope) == 0:
		return fmt.Errorf("%w, and does not say which", ErrScopeRefused)
	case len(missing) == 0:
		return fmt.Errorf("%w that the login asked for: %s", ErrScopeRefused, strings.Join(c.Scope, " "))
	}
	return a.login(ctx, Wish{Metadata: c.Metadata, Scope: union(asked, c.Scope), StepUp: true}, sent)
}

// authenticate logs in with the authentication that the server asks for, and the scopes of before. Just after a login
// for what a challenge asked for it does not, whatever the server asks for now: it may be something else each time.
func (a *Authorization) authenticate(ctx context.Context, c challenge.Bearer, sent provider.Secret) error {
	st, need := readState(a.cfg.StateDir, a.cfg.URL), c.Need()
	isMade := st.Need == need || !st.Need.IsZero()
	if isMade && clock.Within(st.LoggedIn, a.cfg.Now(), justNow) {
		return ErrAuthenticationRefused
	}
	return a.login(ctx, Wish{Metadata: c.Metadata, Scope: union(st.Asked, c.Scope), StepUp: true, Need: need}, sent)
}

// union returns the values of both, sorted, each once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// providerConfig returns the configuration of an issuer without the client.
func (a *Authorization) providerConfig(issuer string) provider.Config {
	return provider.Config{Issuer: issuer, OAuth: true, CacheDir: a.cfg.CacheDir, HTTPClient: a.cfg.HTTPClient}
}
