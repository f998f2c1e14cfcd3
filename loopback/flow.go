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
	"strconv"
	"strings"
	"sync"
	"time"

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
)

// FlowConfig says for whom logins are made, and what becomes of them.
type FlowConfig struct {
	Provider        *provider.Provider // required
	BaseURL         string             // "" = http://localhost:3000
	Scope, Audience string             // "" = DefaultScope; the provider's default
	// Store keeps verified tokens; only after it the browser is told that it worked. nil keeps nothing.
	Store func(context.Context, *provider.Tokens) error
	// Done may answer the browser after a login that worked, and reports whether it did; else the result page does.
	Done func(http.ResponseWriter, *http.Request, *Pending, *provider.Tokens) bool
	Now  func() time.Time // nil: time.Now
}

// A Flow holds the logins that wait for their answer, and handles the callback.
type Flow struct {
	cfg      FlowConfig
	base     string // without a slash at its end
	mu       sync.Mutex
	pending  map[string]*Pending // by state
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
		cfg.Now = time.Now
	}
	return &Flow{
		cfg: cfg, base: strings.TrimSuffix(cmp.Or(cfg.BaseURL, DefaultBaseURL), "/"),
		pending: map[string]*Pending{}, results: map[string]result{},
	}
}

// RedirectURI is what has to be registered with the provider.
func (f *Flow) RedirectURI() string { return f.base + CallbackPath }

// A Request begins a login.
type Request struct {
	Params   url.Values // organization, prompt … passed on to the provider
	ReturnTo string     // where a page's login leads back to; checked by ReturnTo
	Browser  string     // what the browser that began it shows again in the cookie BindingCookie; "": not bound
	CLI      bool       // a terminal waits for it
}

// A Pending is a login that waits for its answer.
type Pending struct {
	URL      string // where to send the browser
	ReturnTo string
	CLI      bool

	state, nonce string
	verifier     provider.Secret
	browser      string
	params       url.Values
	maxAge       time.Duration
	repeated     bool
	begun        time.Time
	outcome      chan outcome
	fetched      chan struct{} // the browser has got the page that says how it went
	once         sync.Once
}

type outcome struct {
	tokens *provider.Tokens
	err    error
}

// Wait returns what came of the login.
func (p *Pending) Wait(ctx context.Context) (*provider.Tokens, error) {
	select {
	case o := <-p.outcome:
		return o.tokens, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// random returns 256 random bits as text that fits into a URL.
func random() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Begin makes a fresh state, nonce and code verifier, and the URL that a browser has to go to.
func (f *Flow) Begin(ctx context.Context, r Request) (*Pending, error) {
	p := &Pending{
		ReturnTo: cmp.Or(r.ReturnTo, "/"), CLI: r.CLI, browser: r.Browser, params: r.Params,
		outcome: make(chan outcome, 1), fetched: make(chan struct{}),
	}
	return p, f.begin(ctx, p)
}

func (f *Flow) begin(ctx context.Context, p *Pending) error {
	p.state, p.nonce, p.verifier, p.begun = random(), random(), provider.NewSecret(random()), f.cfg.Now()
	if seconds, err := strconv.Atoi(p.params.Get("max_age")); err == nil && seconds >= 0 {
		p.maxAge = max(time.Duration(seconds)*time.Second, 1) // max_age=0 asks for an authentication now, 0 for none
	}
	challenge := sha256.Sum256([]byte(p.verifier.Reveal())) // RFC 7636, section 4.2
	var err error
	p.URL, err = f.cfg.Provider.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: f.RedirectURI(), State: p.state, Nonce: p.nonce,
		CodeChallenge: base64.RawURLEncoding.EncodeToString(challenge[:]),
		Scope:         f.cfg.Scope, Audience: f.cfg.Audience, Extra: p.params,
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.makeRoom()
	f.pending[p.state] = p
	return nil
}

// makeRoom drops the logins of pages that are too old or too many; never a terminal's.
func (f *Flow) makeRoom() {
	now, waiting := f.cfg.Now(), 0
	var oldest *Pending
	for state, p := range f.pending {
		switch {
		case p.CLI:
		case now.Sub(p.begun) > pendingLife:
			delete(f.pending, state)
		default:
			waiting++
			if oldest == nil || p.begun.Before(oldest.begun) {
				oldest = p
			}
		}
	}
	if waiting >= mostPending {
		delete(f.pending, oldest.state)
	}
}

// Drop forgets a login that nobody waits for any more: its answer will be a stranger's.
func (f *Flow) Drop(p *Pending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pending, p.state)
}

// BindingCookie is the cookie in which a browser shows that it began a login.
func BindingCookie(baseURL string) string {
	port := "80"
	if u, err := ParseBaseURL(baseURL); err == nil {
		port = strconv.Itoa(portOf(u))
	}
	return "loopkey_" + port + "_login"
}

// What a callback that ends nothing is told.
var (
	errNoLogin = errors.New("this answer belongs to no login that waits here")
	errBrowser = errors.New("this login was begun in another browser")
)

// take returns the login that an answer belongs to. Taken, not looked up: a state is
// used once. What a page of anybody can send ends nothing.
func (f *Flow) take(q url.Values, browser []string) (*Pending, error) {
	states := q["state"]
	if len(states) != 1 || states[0] == "" {
		return nil, errNoLogin
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pending[states[0]]
	if !ok || !p.CLI && f.cfg.Now().Sub(p.begun) > pendingLife {
		return nil, errNoLogin
	}
	if p.browser != "" {
		same := false
		for _, cookie := range browser {
			same = same || subtle.ConstantTimeCompare([]byte(cookie), []byte(p.browser)) == 1
		}
		if !same {
			return nil, errBrowser
		}
	}
	delete(f.pending, p.state)
	return p, nil
}

// Callback handles the provider's answer (OpenID Connect Core 1.0, section 3.1.2.5):
// GET /auth/callback.
func (f *Flow) Callback(w http.ResponseWriter, r *http.Request) {
	secure(w)
	q := r.URL.Query()
	var browser []string
	for _, cookie := range r.CookiesNamed(BindingCookie(f.base)) {
		browser = append(browser, cookie.Value)
	}
	p, err := f.take(q, browser)
	if err != nil {
		page{Status: http.StatusBadRequest, Title: "Not a login that waits here",
			Text: capital(err.Error()) + ". It may have been used already, or be too old. Nothing was changed.", Home: true}.write(w)
		return
	}
	// The person may close the tab: what the code was redeemed for is stored all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), exchangeLimit)
	defer cancel()
	tokens, err := f.redeem(ctx, p, q)
	if errors.Is(err, ErrAgain) && !p.repeated {
		p.repeated = true
		if err = f.begin(ctx, p); err == nil {
			http.Redirect(w, r, p.URL, http.StatusSeeOther)
			return
		}
	}
	res := result{pending: p, err: err}
	if err == nil {
		res.name = displayName(tokens)
		if f.cfg.Done != nil && f.cfg.Done(w, r, p, tokens) {
			p.finish(tokens, nil)
			p.seen()
			return
		}
	}
	id := f.keepResult(res)
	p.finish(tokens, err)
	http.Redirect(w, r, ResultPath+"?id="+id, http.StatusSeeOther)
}

// Answer takes an answer that came by another way, such as the pasted URL of a browser
// on another machine. A wrong one ends nothing and is reported in the error.
func (f *Flow) Answer(ctx context.Context, raw string) error {
	u, err := url.Parse(strings.TrimSpace(raw))
	own, ownErr := url.Parse(f.RedirectURI())
	if err != nil || ownErr != nil || u.Scheme != own.Scheme || portOf(u) != portOf(own) || u.Path != own.Path || !loopbackName(u.Hostname()) {
		return fmt.Errorf("it does not begin with %s", f.RedirectURI())
	}
	p, err := f.take(u.Query(), nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeLimit)
	defer cancel()
	tokens, err := f.redeem(ctx, p, u.Query())
	if errors.Is(err, ErrAgain) {
		err = errors.New("the provider revoked the new login together with the one before: log in again")
	}
	p.finish(tokens, err)
	p.seen() // there is no page to wait for
	return nil
}

func loopbackName(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// redeem verifies the answer, redeems its code and stores the tokens.
func (f *Flow) redeem(ctx context.Context, p *Pending, q url.Values) (*provider.Tokens, error) {
	code, err := f.cfg.Provider.CheckResponse(ctx, q)
	if err != nil {
		return nil, err
	}
	tokens, err := f.cfg.Provider.Exchange(ctx, provider.CodeExchange{
		Code: code, RedirectURI: f.RedirectURI(), CodeVerifier: p.verifier, Nonce: p.nonce,
		Scope: f.cfg.Scope, Audience: f.cfg.Audience, MaxAge: p.maxAge,
	})
	if err != nil {
		return nil, err
	}
	if f.cfg.Store != nil {
		if err := f.cfg.Store(ctx, tokens); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (p *Pending) finish(t *provider.Tokens, err error) { p.outcome <- outcome{t, err} }

func (p *Pending) seen() { p.once.Do(func() { close(p.fetched) }) }

// Fetched is closed when the browser has got the page that says how the login went.
func (p *Pending) Fetched() <-chan struct{} { return p.fetched }

func displayName(t *provider.Tokens) string {
	claims := t.Claims.All(t.UserInfo)
	return cmp.Or(claims.Text("name"), claims.Text("email"), claims.Text("nickname"), claims.Text("preferred_username"), claims.Subject())
}
