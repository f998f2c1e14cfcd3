package loopback

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// CallbackPath is the path of the redirect URI that is registered with the provider.
const CallbackPath = "/auth/callback"

// ResultPath is the clean URL that the callback leads to: no code stays in the address bar.
const ResultPath = "/auth/done"

// DefaultScope is what a login asks for unless it is configured.
const DefaultScope = "openid profile email offline_access"

var (
	// ErrTimeout: the person did not come back in time.
	ErrTimeout = errors.New("timeout: nobody came back from the browser in time")
	// ErrAgain from Store: what was stored is worth nothing, the login has to be made once more. The browser is sent
	// through it at once, without a question where the provider remembers the person.
	ErrAgain = errors.New("the login has to be made once more")
	// ErrForbidden from Store: the login is a true one, but whose it is may not log in here.
	ErrForbidden = errors.New("this login may not be made here")
)

// FlowConfig says for whom logins are made, and what becomes of them.
type FlowConfig struct {
	Provider        *provider.Provider // required
	BaseURL         string             // "" = http://localhost:3000
	Scope, Audience string             // "" = DefaultScope; the provider's default
	// Store keeps verified tokens; only after it the browser is told that it worked. nil keeps nothing. The request
	// is the callback's, nil for an answer that came by another way.
	Store func(context.Context, *http.Request, *Pending, *provider.Tokens) error
	// Done may answer the browser after a login that worked, and reports whether it did; else the result page does.
	Done func(http.ResponseWriter, *http.Request, *Pending, *provider.Tokens) bool
	// Advice returns what a person can do about an error, for the result page, or ""; nil: the page gives no advice.
	Advice func(error) string
	Now    func() time.Time // nil: the clock on the wall
}

// A Flow holds the logins that wait for their answer, and handles the callback.
type Flow struct {
	cfg      FlowConfig
	base     string // without a slash at its end
	callback http.HandlerFunc
	mu       sync.Mutex
	pending  map[string]*login // by state
	results  map[string]result
	resulted []string // ids of results, oldest first
}

// How many logins that pages began may wait, and for how long; a terminal's wait as long as it does.
const (
	mostPending   = 64
	pendingLife   = 10 * time.Minute
	mostResults   = 64
	exchangeLimit = 90 * time.Second
)

// NewFlow prepares a flow; it makes no request.
func NewFlow(cfg FlowConfig) *Flow {
	cfg.Scope = cmp.Or(cfg.Scope, DefaultScope)
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	if cfg.Advice == nil {
		cfg.Advice = func(error) string { return "" }
	}
	f := &Flow{
		cfg: cfg, base: strings.TrimSuffix(cmp.Or(cfg.BaseURL, DefaultBaseURL), "/"),
		pending: map[string]*login{}, results: map[string]result{},
	}
	// A state stands in the argument list of the browser that was opened. Another user of this machine who reads it
	// there may have logged in as themselves: to them no such login waits here.
	f.callback = localhost.RefuseOtherUsers(f.waits, strangerPage(errNoLogin), f.answered)
	return f
}

// RedirectURI is what has to be registered with the provider.
func (f *Flow) RedirectURI() string { return f.base + CallbackPath }

// A Request begins a login.
type Request struct {
	Params   url.Values // organization, prompt … passed on to the provider
	ReturnTo string     // where a page's login leads back to; checked by ReturnTo
	Browser  string     // what the browser that began it shows again in the cookie BindingCookie; "": not bound
	CLI      bool       // a terminal waits for it
	Guest    bool       // who began it has not shown that they are the person whose session this is; for Store
	Share    bool       // a terminal's login with the same Params that waits already will do: one tab is enough
}

// A Pending is somebody's share in a login that waits for its answer.
type Pending struct {
	URL      string // where to send the browser
	ReturnTo string
	CLI      bool
	Guest    bool
	Shared   bool // somebody was sent to URL already

	flow    *Flow
	login   *login
	dropped bool // guarded by the flow's lock
}

// A login waits for its answer. The flow's lock guards it until it is taken, then it is its taker's.
type login struct {
	url, returnTo string
	cli, share    bool
	guest         bool
	browser       string
	params        url.Values
	maxAge        time.Duration
	state, nonce  string
	verifier      provider.Secret
	begun         time.Time
	repeated      bool

	waiters int                // those who did not drop it
	abort   context.CancelFunc // ends what its taker does; nil before it is taken

	done    chan struct{} // closed when tokens and err say what came of it
	tokens  *provider.Tokens
	err     error
	fetched chan struct{} // closed when the browser has got the page that says how it went
	once    sync.Once
}

// abortAfter is how long an answer that has come may still be worked on for somebody
// who stopped waiting. Soon it is known what came of it, and then that is told.
const abortAfter = 3 * time.Second

// Wait returns what came of the login. When ctx ends first the login is dropped, and
// the error is ctx's cause; but an answer that came in time is worked on: to its end
// after ErrTimeout, for some seconds after anything else.
func (p *Pending) Wait(ctx context.Context) (*provider.Tokens, error) {
	l := p.login
	select {
	case <-l.done:
		return l.tokens, l.err
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	abort := p.flow.drop(p)
	if abort == nil { // no answer, or others who wait for it
		select {
		case <-l.done:
			return l.tokens, l.err
		default:
			return nil, cause
		}
	}
	limit := abortAfter
	if errors.Is(cause, ErrTimeout) {
		limit = exchangeLimit
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.done:
		return l.tokens, l.err
	case <-timer.C:
		abort()
		return nil, cause
	}
}

// Fetched is closed when the browser has got the page that says how the login went.
func (p *Pending) Fetched() <-chan struct{} { return p.login.fetched }

// random returns 256 random bits as text that fits into a URL.
func random() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Begin makes a fresh state, nonce and code verifier, and the URL that a browser has to go to.
func (f *Flow) Begin(ctx context.Context, r Request) (*Pending, error) {
	l := &login{
		returnTo: cmp.Or(r.ReturnTo, "/"), cli: r.CLI, guest: r.Guest, share: r.Share && r.CLI && r.Browser == "", browser: r.Browser, params: r.Params,
		waiters: 1, done: make(chan struct{}), fetched: make(chan struct{}),
	}
	if p := f.join(l); p != nil {
		return p, nil
	}
	if seconds, err := strconv.Atoi(r.Params.Get("max_age")); err == nil && seconds >= 0 {
		l.maxAge = max(time.Duration(seconds)*time.Second, 1) // max_age=0 asks for an authentication now, 0 for none
	}
	if err := f.prepare(ctx, l); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.joinLocked(l); p != nil { // another one was faster
		return p, nil
	}
	f.makeRoom()
	f.pending[l.state] = l
	return l.pending(f, false), nil
}

func (l *login) pending(f *Flow, shared bool) *Pending {
	return &Pending{URL: l.url, ReturnTo: l.returnTo, CLI: l.cli, Guest: l.guest, Shared: shared, flow: f, login: l}
}

// join finds a login that will do instead of l.
func (f *Flow) join(l *login) *Pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joinLocked(l)
}

func (f *Flow) joinLocked(l *login) *Pending {
	if !l.share {
		return nil
	}
	for _, other := range f.pending {
		if other.share && other.params.Encode() == l.params.Encode() {
			other.waiters++
			return other.pending(f, true)
		}
	}
	return nil
}

// prepare makes the authorization request of a login that nobody else knows yet, or any more.
func (f *Flow) prepare(ctx context.Context, l *login) error {
	l.state, l.nonce, l.verifier, l.begun = random(), random(), provider.NewSecret(random()), f.cfg.Now()
	challenge := sha256.Sum256([]byte(l.verifier.Reveal())) // RFC 7636, section 4.2
	var err error
	l.url, err = f.cfg.Provider.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: f.RedirectURI(), State: l.state, Nonce: l.nonce,
		CodeChallenge: base64.RawURLEncoding.EncodeToString(challenge[:]),
		Scope:         f.cfg.Scope, Audience: f.cfg.Audience, Extra: l.params,
	})
	return err
}

// makeRoom drops the logins of pages that are too old or too many; never a terminal's.
func (f *Flow) makeRoom() {
	now, waiting := f.cfg.Now(), 0
	var oldest *login
	for state, l := range f.pending {
		switch {
		case l.cli:
		case now.Sub(l.begun) > pendingLife:
			delete(f.pending, state)
		default:
			waiting++
			if oldest == nil || l.begun.Before(oldest.begun) {
				oldest = l
			}
		}
	}
	if waiting >= mostPending {
		delete(f.pending, oldest.state)
	}
}

// Drop ends somebody's wait. A login that nobody waits for any more is forgotten: its
// answer will be a stranger's.
func (f *Flow) Drop(p *Pending) { f.drop(p) }

// drop returns what ends the work on an answer that has come, if nobody else waits for it.
func (f *Flow) drop(p *Pending) context.CancelFunc {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := p.login
	if p.dropped {
		return nil
	}
	p.dropped = true
	if l.waiters--; l.waiters > 0 {
		return nil
	}
	if l.abort == nil { // not taken
		delete(f.pending, l.state)
	}
	return l.abort
}

// BindingCookie is the cookie in which a browser shows that it began a login.
func BindingCookie(baseURL string) string {
	port := "80"
	if u, err := localurl.ParseBase(baseURL); err == nil {
		port = strconv.Itoa(localurl.Port(u))
	}
	return "loopkey_" + port + "_login"
}

// What a callback that ends nothing is told.
var (
	errNoLogin = errors.New("this answer belongs to no login that waits here")
	errBrowser = errors.New("this login was begun in another browser")
)

// waits reports whether r has the state of a login that waits.
func (f *Flow) waits(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pending[r.URL.Query().Get("state")] != nil
}

// take returns the login that an answer belongs to. Taken, not looked up: a state is
// used once. What a page of anybody can send ends nothing.
func (f *Flow) take(q url.Values, browser []string, abort context.CancelFunc) (*login, error) {
	states := q["state"]
	if len(states) != 1 || states[0] == "" {
		return nil, errNoLogin
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.pending[states[0]]
	if !ok || !l.cli && f.cfg.Now().Sub(l.begun) > pendingLife {
		return nil, errNoLogin
	}
	if l.browser != "" {
		same := false
		for _, cookie := range browser {
			same = same || subtle.ConstantTimeCompare([]byte(cookie), []byte(l.browser)) == 1
		}
		if !same {
			return nil, errBrowser
		}
	}
	delete(f.pending, l.state)
	l.abort = abort
	return l, nil
}

// Callback handles the provider's answer (OpenID Connect Core 1.0, section 3.1.2.5):
// GET /auth/callback.
func (f *Flow) Callback(w http.ResponseWriter, r *http.Request) { f.callback(w, r) }

func (f *Flow) answered(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var browser []string
	for _, cookie := range r.CookiesNamed(BindingCookie(f.base)) {
		browser = append(browser, cookie.Value)
	}
	// The person may close the tab: what the code was redeemed for is stored all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), exchangeLimit)
	defer cancel()
	l, err := f.take(q, browser, cancel)
	if err != nil {
		strangerPage(err).Write(w)
		return
	}
	localhost.Trust(r)
	tokens, err := f.redeem(ctx, r, l, q)
	if errors.Is(err, ErrAgain) && !l.repeated {
		var next string
		if next, err = f.repeat(ctx, l); err == nil {
			http.Redirect(w, r, next, http.StatusSeeOther)
			return
		}
	}
	res := result{login: l, err: err}
	if err == nil {
		res.name = words.Name(tokens.Claims.All(tokens.UserInfo))
		if f.cfg.Done != nil && f.cfg.Done(w, r, l.pending(f, false), tokens) {
			l.finish(tokens, nil)
			l.seen()
			return
		}
	}
	id := f.keepResult(res)
	l.finish(tokens, err)
	http.Redirect(w, r, ResultPath+"?id="+id, http.StatusSeeOther)
}

// repeat makes a login wait once more, under another state, for those who wait for it.
func (f *Flow) repeat(ctx context.Context, l *login) (target string, err error) {
	l.repeated = true
	if err := f.prepare(ctx, l); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.waiters == 0 {
		return "", errNoLogin
	}
	l.abort = nil
	f.pending[l.state] = l
	return l.url, nil
}

// Answer takes an answer that came by another way, such as the pasted URL of a browser
// on another machine. A wrong one ends nothing and is reported in the error.
func (f *Flow) Answer(ctx context.Context, raw string) error {
	u, err := url.Parse(strings.TrimSpace(raw))
	own, ownErr := url.Parse(f.RedirectURI())
	if err != nil || ownErr != nil || u.Scheme != own.Scheme || u.Path != own.Path ||
		!slices.Contains(localurl.Authorities(localurl.Port(own)), u.Host) {
		return fmt.Errorf("it does not begin with %s", f.RedirectURI())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeLimit) // Wait ends it
	defer cancel()
	l, err := f.take(u.Query(), nil, cancel)
	if err != nil {
		return err
	}
	tokens, err := f.redeem(ctx, nil, l, u.Query())
	if errors.Is(err, ErrAgain) {
		err = errors.New("the provider revoked the new login together with the one before: log in again")
	}
	l.seen() // there is no page to wait for
	l.finish(tokens, err)
	return nil
}

// redeem verifies the answer, redeems its code and stores the tokens. r is the callback's request, or nil.
func (f *Flow) redeem(ctx context.Context, r *http.Request, l *login, q url.Values) (*provider.Tokens, error) {
	code, err := f.cfg.Provider.CheckResponse(ctx, q)
	if err != nil {
		return nil, err
	}
	tokens, err := f.cfg.Provider.Exchange(ctx, provider.CodeExchange{
		Code: code, RedirectURI: f.RedirectURI(), CodeVerifier: l.verifier, Nonce: l.nonce,
		Scope: f.cfg.Scope, Audience: f.cfg.Audience, MaxAge: l.maxAge, Organization: l.params.Get("organization"),
	})
	if err != nil {
		return nil, err
	}
	if f.cfg.Store != nil {
		if err := f.cfg.Store(ctx, r, l.pending(f, false), tokens); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (l *login) finish(t *provider.Tokens, err error) {
	l.tokens, l.err = t, err
	close(l.done)
}

func (l *login) seen() { l.once.Do(func() { close(l.fetched) }) }
