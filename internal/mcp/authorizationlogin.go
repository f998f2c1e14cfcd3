package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/challenge"
	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	sessions "github.com/loopkey/loopkey/session"
)

// Profile is the profile of all sessions with MCP servers.
const Profile = "mcp"

// A plan is what a login asks for, and where.
type plan struct {
	client  known.Client
	at      *client
	scope   []string
	need    provider.Requirement
	session *sessions.Session
}

// prepare finds out what a login has to ask for, and where. The caller holds the lock of the server's state.
func (a *Authorization) prepare(ctx context.Context, w Wish) (*plan, error) {
	r, err := a.findResource(ctx, challenge.Bearer{Metadata: w.Metadata})
	if err != nil {
		return nil, err
	}
	before := readState(a.cfg.StateDir, a.cfg.URL)
	issuer := r.issuers[0]
	for _, preferred := range []string{before.Session.Issuer, a.cfg.ClientIssuer} {
		if slices.Contains(r.issuers, preferred) {
			issuer = preferred
		}
	}
	if w.Unknown != "" {
		if err := ForgetClient(ctx, a.cfg.Store, issuer, w.Unknown); err != nil {
			return nil, err
		}
	}
	at, err := a.client(ctx, issuer)
	if err != nil {
		return nil, err
	}
	cfg := a.providerConfig(issuer)
	cfg.ClientID, cfg.ClientSecret = at.id, at.secret
	p, err := provider.New(cfg)
	if err != nil {
		return nil, err
	}
	scope, err := a.scope(ctx, p, r, w)
	if err != nil {
		return nil, err
	}
	l := &plan{at: at, scope: scope, need: w.Need, client: a.authenticating(known.Client{
		Profile: Profile, Issuer: issuer, ClientID: at.id, Keystore: a.cfg.Keystore,
		Resource: r.name, Server: a.cfg.URL,
		// What an earlier login bound to a key, no metadata of the server unbinds.
		DPoP: r.bound || before.Session.DPoP && before.Session.Issuer == issuer || a.isOwn(issuer) && a.cfg.Client.DPoP,
	})}
	l.session, err = a.cfg.Session(l.client, at.secret)
	return l, err
}

// scope returns the scope of a login: what is configured, else what the server asked for, else what its metadata lists.
// A step-up adds to what is configured. Where the authorization server has offline_access, it is asked for too.
func (a *Authorization) scope(ctx context.Context, p *provider.Provider, r *resource, w Wish) ([]string, error) {
	scope := r.scopes
	if len(w.Scope) > 0 {
		scope = w.Scope
	}
	if configured := challenge.Scopes(a.cfg.Scope); len(configured) > 0 {
		scope = configured
		if w.StepUp {
			scope = union(configured, w.Scope)
		}
	}
	if len(scope) == 0 { // a scope of offline_access alone would replace the authorization server's default
		return nil, p.Warm(ctx)
	}
	lists, err := p.ListsScope(ctx, offlineAccess)
	if lists {
		scope = union(scope, []string{offlineAccess})
	}
	return scope, err
}

const offlineAccess = "offline_access"

// login has the person log in, in a process that outlives this one, and waits for it. All processes share one login.
func (a *Authorization) login(ctx context.Context, w Wish, sent provider.Secret) error {
	if a.cfg.NoBrowser || a.cfg.Begin == nil {
		return ErrLoginNeeded
	}
	began, err := a.begin(ctx, w, sent)
	if err != nil || began.IsZero() {
		return err
	}
	return a.await(ctx, began)
}

// begin begins a login, or joins the one that is pending, and returns when that began. It is the zero time if there is
// another token by now.
func (a *Authorization) begin(ctx context.Context, w Wish, sent provider.Secret) (began time.Time, err error) {
	lock, err := a.acquire(ctx, stateName(a.cfg.URL))
	if err != nil {
		return began, err
	}
	defer lock.Close()
	if token, err := a.obtain(ctx, false); err == nil && token.Token.Reveal() != sent.Reveal() {
		return began, nil
	}
	st, now := readState(a.cfg.StateDir, a.cfg.URL), a.cfg.Now().UTC()
	switch {
	case st.isPending(now, isAlive(a.cfg.StateDir, a.cfg.URL)):
		return st.Began, nil
	case st.isQuiet(now):
		return began, st.failed()
	}
	// What keeps a person from logging in is known before a browser opens.
	l, err := a.prepare(ctx, w)
	if err != nil {
		return began, err
	}
	if err := l.storable(ctx); err != nil {
		return began, err
	}
	st.Began, st.Failure = now, ""
	if err := st.write(a.cfg.StateDir); err != nil {
		return began, err
	}
	w.Began = now
	if err := a.cfg.Begin(ctx, w); err != nil {
		st.Ended = now
		_ = st.write(a.cfg.StateDir)
		return began, err
	}
	return now, nil
}

// storable makes sure that the login could be stored now.
func (l *plan) storable(ctx context.Context) error {
	release, err := l.session.Storable(ctx)
	if errors.Is(err, keystore.ErrCorrupt) { // a login replaces it
		err = nil
	}
	release()
	return err
}

// failed is the error about a login that nobody finished.
func (s state) failed() error {
	if s.Failure == "" {
		return fmt.Errorf("%w, and nobody finished the last one", ErrLoginNeeded)
	}
	return fmt.Errorf("%w: the last one did not work: %s", ErrLoginNeeded, words.Printable(s.Failure))
}

// lookEvery is how often a process that waits for a login looks for its end.
const lookEvery = 150 * time.Millisecond

// await waits for a login that has begun.
func (a *Authorization) await(ctx context.Context, began time.Time) error {
	for {
		st := readState(a.cfg.StateDir, a.cfg.URL)
		switch {
		case !st.LoggedIn.Before(began):
			return nil
		case !st.isPending(a.cfg.Now(), isAlive(a.cfg.StateDir, a.cfg.URL)):
			return st.failed()
		}
		if err := clock.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// A Browsing is how a login meets the person, as loopback.Config has it.
type Browsing struct {
	Timeout  time.Duration // 0: five minutes
	ShowURL  func(url string)
	Open     func(ctx context.Context, url string) error
	Opened   func(error)
	Pasted   <-chan string
	Rejected func(reason string)
	Advice   func(error) string
	// Patient waits for a port that is taken until Timeout.
	Patient bool
}

var (
	// ErrNoLogin says that the server asks for no login.
	ErrNoLogin = errors.New("the MCP server asks for no login")
	// errReplaced says that a newer login replaces this one.
	errReplaced = errors.New("a newer login replaces this one")
)

// LogIn logs the person in, stores the session and lets the other processes know. It returns the issuer and the tokens.
// With the zero Wish it asks the server what it wants; ErrNoLogin says that it wants nothing.
func (a *Authorization) LogIn(ctx context.Context, w Wish, b Browsing) (issuer string, t *provider.Tokens, err error) {
	if w.Began.IsZero() {
		if w, err = a.ask(ctx); err != nil {
			return "", nil, err
		}
	}
	if w.Began, err = a.announce(ctx, w.Began); err != nil {
		return "", nil, err
	}
	defer func() { a.ended(ctx, w.Began, err) }()
	alive, err := a.acquire(ctx, stateName(a.cfg.URL)+".login")
	if err != nil {
		return "", nil, err
	}
	defer alive.Close()
	ctx, replace := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		a.watch(ctx, w.Began, replace)
	}()
	defer func() {
		replace(nil)
		<-watched
	}()
	for again := false; ; again = true {
		l, err := a.prepareAlone(ctx, w)
		if err != nil {
			return "", nil, err
		}
		if err := l.storable(ctx); err != nil {
			return "", nil, err
		}
		t, err = a.browse(ctx, l, w.Began, b)
		if again || !l.at.registered || !isUnknownClient(err) {
			return l.client.Issuer, t, err
		}
		w.Unknown = l.at.id
	}
}

// prepareAlone is prepare under the lock of the server's state.
func (a *Authorization) prepareAlone(ctx context.Context, w Wish) (*plan, error) {
	lock, err := a.acquire(ctx, stateName(a.cfg.URL))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	return a.prepare(ctx, w)
}

// announce notes that a login is pending which a person began; the one that was pending before ends. A login that
// another process began is noted already, unless a newer one has replaced it.
func (a *Authorization) announce(ctx context.Context, began time.Time) (time.Time, error) {
	lock, err := a.acquire(ctx, stateName(a.cfg.URL))
	if err != nil {
		return began, err
	}
	defer lock.Close()
	st := readState(a.cfg.StateDir, a.cfg.URL)
	if !began.IsZero() {
		if !st.Began.Equal(began) || !st.Ended.Before(began) {
			return began, errReplaced
		}
		return began, nil
	}
	st.Began, st.Failure = a.cfg.Now().UTC(), ""
	return st.Began, st.write(a.cfg.StateDir)
}

// ended notes how a login ended, for the processes that wait for it. A login that worked was noted when it was stored.
func (a *Authorization) ended(ctx context.Context, began time.Time, err error) {
	if err == nil {
		return
	}
	_ = a.change(ctx, began, func(st *state) {
		st.Ended = a.cfg.Now().UTC()
		if !errors.Is(err, loopback.ErrTimeout) && !errors.Is(err, context.Canceled) {
			st.Failure = words.Printable(err.Error())
		}
	})
}

// change changes what is known of the server, if the login is still the last one. The end of ctx does not stop it.
func (a *Authorization) change(ctx context.Context, began time.Time, change func(*state)) error {
	return granted.Store(ctx, func(ctx context.Context) error {
		lock, err := a.acquire(ctx, stateName(a.cfg.URL))
		if err != nil {
			return err
		}
		defer lock.Close()
		st := readState(a.cfg.StateDir, a.cfg.URL)
		if !st.Began.Equal(began) {
			return nil
		}
		change(&st)
		return st.write(a.cfg.StateDir)
	})
}

// watch ends a login when a newer one replaces it, or a logout.
func (a *Authorization) watch(ctx context.Context, began time.Time, replace context.CancelCauseFunc) {
	for clock.Pause(ctx, lookEvery) == nil {
		if !readState(a.cfg.StateDir, a.cfg.URL).Began.Equal(began) {
			replace(errReplaced)
			return
		}
	}
}

// portPause is the pause before ports that were taken are tried again.
const portPause = 300 * time.Millisecond

// browse has the person log in through the browser, at the first redirect URI whose port is free.
func (a *Authorization) browse(ctx context.Context, l *plan, began time.Time, b Browsing) (*provider.Tokens, error) {
	limit := b.Timeout
	if limit == 0 {
		limit = loginLimit
	}
	deadline := a.cfg.Now().Add(limit)
	params := l.need.Params()
	if slices.Contains(l.scope, offlineAccess) { // OpenID Connect Core 1.0, section 11
		params.Set("prompt", "consent")
	}
	var taken error
	for {
		for _, redirectURI := range l.at.redirectURIs {
			t, err := loopback.Login(ctx, loopback.Config{
				AppName: "loopkey", Provider: l.session.Provider(), Scope: strings.Join(l.scope, " "),
				Audience: l.client.Resource, Params: params, RedirectURI: redirectURI,
				Timeout:     max(deadline.Sub(a.cfg.Now()), time.Millisecond),
				OpenBrowser: b.Open, ShowURL: b.ShowURL, Opened: b.Opened, Pasted: b.Pasted, Rejected: b.Rejected,
				Advice: b.Advice,
				Store:  func(ctx context.Context, t *provider.Tokens) error { return a.keep(ctx, l, began, t) },
			})
			if !errors.As(err, new(*loopback.PortTakenError)) {
				return t, err
			}
			taken = err
		}
		if !b.Patient || !a.cfg.Now().Before(deadline) {
			return nil, taken
		}
		if err := clock.Pause(ctx, portPause); err != nil {
			return nil, err
		}
	}
}

// keep stores a login, lets the other processes know, and revokes the refresh token of the login that it replaces.
func (a *Authorization) keep(ctx context.Context, l *plan, began time.Time, t *provider.Tokens) error {
	replaced, err := l.session.Replace(ctx, t, func(string) bool { return true })
	if err != nil {
		return err
	}
	again, _ := l.session.Retire(ctx, replaced) // a token that stays alive is no reason against the login
	if again {
		return loopback.ErrAgain
	}
	return a.change(ctx, began, func(st *state) {
		st.Session, st.Asked, st.Need = l.client, l.scope, l.need
		st.LoggedIn = a.cfg.Now().UTC()
		st.Ended, st.Failure = st.LoggedIn, ""
	})
}

// ask asks the server for nothing in particular, as a host does first, and returns what a login is to be for.
func (a *Authorization) ask(ctx context.Context) (Wish, error) {
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",` +
		`"capabilities":{},"clientInfo":{"name":"loopkey","version":"1"}}}`
	asking, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	resp, err := a.send(asking, http.MethodPost, a.server, []byte(hello))
	if err != nil {
		return Wish{}, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1)) // it may be a stream
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		c := challenge.Parse(resp.Header.Values("WWW-Authenticate"))
		return Wish{Metadata: c.Metadata, Scope: c.Scope}, nil
	case resp.StatusCode < 300:
		a.endSession(asking, resp.Header.Get("Mcp-Session-Id"))
		return Wish{}, ErrNoLogin
	}
	return Wish{}, fmt.Errorf("%w: it replied with HTTP %d", ErrNoReply, resp.StatusCode)
}

// endSession ends the session that ask began at a server which asks for no login.
func (a *Authorization) endSession(ctx context.Context, id string) {
	if id == "" {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, a.server.String(), bytes.NewReader(nil))
	if err != nil {
		return
	}
	for name, values := range a.cfg.Header {
		req.Header[name] = values
	}
	req.Header.Set("Mcp-Session-Id", id)
	if resp, err := a.http.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// Sessions returns the sessions that were noted for a server, by its URL.
func Sessions(stateDir, server string) ([]known.Client, error) {
	all, err := known.All(stateDir)
	return slices.DeleteFunc(all, func(c known.Client) bool { return c.Resource == "" || c.Server != server }), err
}

// Forget forgets what is known of a server, after its sessions have ended. A login that is pending ends.
func Forget(ctx context.Context, stateDir, server string) error {
	a := &Authorization{cfg: AuthorizationConfig{StateDir: stateDir}}
	lock, err := a.acquire(ctx, stateName(server))
	if err != nil {
		return err
	}
	defer lock.Close()
	return state{Server: server}.write(stateDir)
}
