// Package login holds logins that wait for a person: the authorization request of each, the callback that takes the
// provider's response, and the page that says how it went. It serves nothing by itself: a server routes Callback and
// Result, behind the guards of internal/localhost.
package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/provider"
)

// CallbackPath is the path of the redirect URI unless another one is configured.
const CallbackPath = "/auth/callback"

// ResultPath is where Result is served. The callback redirects there, so that no code stays in the address bar.
const ResultPath = "/auth/done"

var (
	// ErrTimeout says that the user did not come back from the browser in time. Wait returns it as a *TimeoutError.
	ErrTimeout = errors.New("timeout: nobody came back from the browser in time")
	// ErrAgain is for Config.Store to return: the login has to be made once more, for its tokens are worth nothing.
	// The browser is sent through it at once, without a question where the provider remembers the user.
	ErrAgain = errors.New("the login has to be made once more")
	// ErrRevokedTogether says that a login was worth nothing and can't be made once more by itself: there was no browser
	// to send through it, or it is the second in a row.
	ErrRevokedTogether = errors.New("the provider revoked the new login together with the previous one")
	// ErrForbidden is for Config.Store to wrap: the login is genuine, but this user may not log in here.
	ErrForbidden = errors.New("this login may not be made here")
)

// Config says for which client logins are made, and what becomes of them.
type Config struct {
	Provider    *provider.Provider // required
	RedirectURI string             // required: where Callback is served, as registered with the provider
	App         string             // the program, in the titles of pages; "": none
	Home        string             // the path of the start page, to which pages lead; "": /
	Cookie      string             // name of the cookie in which a browser shows Request.Browser
	// Store keeps verified tokens; the browser is told of a login only after Store returned. nil keeps nothing. The
	// request is the callback's, or nil for a response that was pasted.
	Store func(context.Context, *http.Request, *Pending, *provider.Tokens) error
	// Done may reply to the callback after a login that worked, and reports whether it did; nil, or false: the
	// browser is led to the result page.
	Done func(http.ResponseWriter, *http.Request, *Pending, *provider.Tokens) bool
	// Advice returns what a person can do about an error, for the result page, or ""; nil: the page gives no advice.
	Advice func(error) string
	// Prover returns the prover whose key the tokens of a login are bound to, or nil for none; nil: Provider.NewProver.
	Prover func(context.Context, Wanted) (*provider.Prover, error)
	Now    func() time.Time // nil: the clock on the wall
}

// A Flow holds the logins that wait for the provider's response. It is safe for concurrent use.
type Flow struct {
	cfg              Config
	callback, result http.HandlerFunc
	short            http.HandlerFunc

	work     sync.WaitGroup // on responses
	mu       sync.Mutex
	waiting  map[string]*login // by state
	working  map[*login]int    // the responses of each that are worked on
	ended    bool
	results  map[string]result // by id
	resulted []string          // the ids of results, the oldest first
	seen     Sightings
}

// WaitingLife is how long a login may take that a browser began.
const WaitingLife = 10 * time.Minute

// Limits of a Flow. A login that a terminal waits for counts toward none of them.
const (
	mostWaiting   = 64 // logins that browsers began
	mostResults   = 64
	exchangeLimit = 90 * time.Second // for the work on a response
)

// New returns a Flow without logins. It makes no request.
func New(cfg Config) *Flow {
	cfg.Home = cmp.Or(cfg.Home, "/")
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	if cfg.Prover == nil {
		cfg.Prover = func(ctx context.Context, _ Wanted) (*provider.Prover, error) { return cfg.Provider.NewProver(ctx) }
	}
	if cfg.Advice == nil {
		cfg.Advice = func(error) string { return "" }
	}
	f := &Flow{
		cfg: cfg, waiting: map[string]*login{}, working: map[*login]int{}, results: map[string]result{},
	}
	// The argument list of the browser that was opened shows the state to every user of this machine. Another user may
	// have logged in as themselves with it: no login waits here for their response.
	f.callback = localhost.OnlyNavigation(
		cfg.App, localhost.RefuseOtherUsers(f.waits, http.HandlerFunc(f.refuseOtherUser), f.respond))
	f.result = localhost.OnlyNavigation(cfg.App, f.showResult)
	f.short = localhost.OnlyNavigation(cfg.App, localhost.RefuseOtherUsers(
		f.Leads, http.HandlerFunc(f.noShort), f.lead))
	return f
}

// Wanted is what a login asks of the provider.
type Wanted struct {
	Scope    string     `json:"scope,omitempty"`    // "": what provider.LoginScope makes of that
	Audience string     `json:"audience,omitempty"` // the API of the access token; "": the provider's default
	Params   url.Values `json:"params,omitempty"`   // further authorization parameters: organization, prompt and so on
	// Need is what the authentication has to be. It is asked for beside Params, and what comes back is compared. A
	// max_age of Params is compared too; an acr_values of Params is a wish.
	Need provider.Requirement `json:"need,omitzero"`
	// Beside says that the tokens are not the session's: they are stored beside it, for requests that need what Need is.
	Beside bool `json:"beside,omitempty"`
	// Audiences are further APIs that the refresh token is to get tokens for. A provider that refuses to grant several
	// at once is asked again, without them.
	Audiences []string `json:"audiences,omitempty"`
}

// Equal reports whether two logins ask for the same.
func (w Wanted) Equal(other Wanted) bool {
	return cmp.Or(w.Scope, provider.DefaultScope) == cmp.Or(other.Scope, provider.DefaultScope) &&
		w.Audience == other.Audience && w.Params.Encode() == other.Params.Encode() &&
		slices.Equal(w.Audiences, other.Audiences) && w.Need == other.Need &&
		w.Beside == other.Beside
}

// A Request describes a login to begin.
type Request struct {
	Wanted
	ReturnTo string // the path that a browser's login leads back to, as the function ReturnTo returned it; "": /
	Again    string // the URL of another try, for the page of a browser's login that failed; "": none is offered
	Browser  string // the login ends only in a browser that has this value in the cookie Config.Cookie; "": in any
	CLI      bool   // a terminal waits for the login
	Guest    bool   // the browser is not known as the logged-in user's, whose session Store may refuse to replace
	Share    bool   // a terminal is content with a login that another terminal waits for and that asks for the same
}

// A login is an authorization request and what came of it. The flow's lock guards it until a response has taken it
// from Flow.waiting; then it belongs to the caller of take.
type login struct {
	url, returnTo string
	again         string
	cli, share    bool
	guest         bool
	browser       string
	wanted        Wanted
	need          provider.Requirement
	scope         string // as the provider was asked for it
	short         string // names it in ShortPath
	state, nonce  string
	verifier      provider.Secret
	prover        *provider.Prover // nil: the tokens will be bound to no key
	begun         time.Time
	began         Moment // the same among what was seen
	repeated      bool   // after ErrAgain
	less          bool   // it asks for no further audiences, for the provider refused them

	waiters int                // the parts that were not dropped
	abort   context.CancelFunc // ends the exchange of its code, but not the storing; nil: no response has come
	granted bool               // the provider gave the tokens; read only after done was closed

	done   chan struct{} // closed after tokens and err were set
	tokens *provider.Tokens
	err    error

	fetched chan struct{} // closed when the browser has fetched the page that says how the login went
	once    sync.Once     // closes fetched
}

// Begin makes an authorization request with a fresh state, nonce and code verifier, and holds it until its response
// comes, until everyone who waits has dropped it, or until newer ones push it out.
func (f *Flow) Begin(ctx context.Context, r Request) (*Pending, error) {
	l := &login{
		returnTo: cmp.Or(r.ReturnTo, "/"), again: r.Again, browser: r.Browser, wanted: r.Wanted, cli: r.CLI,
		guest:   r.Guest,
		share:   r.Share && r.CLI && r.Browser == "",
		waiters: 1, done: make(chan struct{}), fetched: make(chan struct{}),
	}
	if p := f.join(l); p != nil {
		return p, nil
	}
	l.need = r.Need
	if age, ok := provider.MaxAgeOf(r.Params.Get("max_age")); ok && l.need.MaxAge == 0 {
		l.need.MaxAge = age
	}
	if err := f.prepare(ctx, l); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.joinLocked(l); p != nil { // another terminal began the same login meanwhile
		return p, nil
	}
	f.makeRoom()
	f.waiting[l.state] = l
	return l.part(f, false), nil
}

// Join returns a part in a login that another terminal waits for and that asks for the same, or nil.
func (f *Flow) Join(w Wanted) *Pending { return f.join(&login{wanted: w, share: true}) }

// join returns a part in a login that waits and does as well as l, or nil.
func (f *Flow) join(l *login) *Pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joinLocked(l)
}

func (f *Flow) joinLocked(l *login) *Pending {
	if !l.share {
		return nil
	}
	for _, other := range f.waiting {
		if other.share && other.wanted.Equal(l.wanted) {
			other.waiters++
			return other.part(f, true)
		}
	}
	return nil
}

// prepare makes the authorization request of l, which is not in f.waiting.
func (f *Flow) prepare(ctx context.Context, l *login) error {
	verifier := oauth2.GenerateVerifier()
	l.state, l.nonce, l.verifier, l.begun = random(), random(), provider.NewSecret(verifier), f.cfg.Now()
	l.began, l.short = f.seen.Now(), cmp.Or(l.short, shortName())
	var err error
	if l.scope, err = f.cfg.Provider.LoginScope(ctx, l.wanted.Scope); err != nil {
		return err
	}
	if l.prover, err = f.cfg.Prover(ctx, l.wanted); err != nil {
		return err
	}
	l.url, err = f.cfg.Provider.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: f.cfg.RedirectURI, State: l.state, Nonce: l.nonce,
		CodeChallenge: oauth2.S256ChallengeFromVerifier(verifier),
		Scope:         l.scope, Audience: l.wanted.Audience, Audiences: l.audiences(), ACR: l.need.ACR, Extra: l.params(),
		Prover: l.prover,
	})
	if f.asksLess(l, err) { // of a request that was pushed
		return f.prepare(ctx, l)
	}
	return err
}

// params returns the further authorization parameters of l.
func (l *login) params() url.Values {
	params := url.Values{}
	maps.Copy(params, l.wanted.Params)
	maps.Copy(params, l.wanted.Need.Params())
	return params
}

// audiences returns the further audiences that l asks for.
func (l *login) audiences() []string {
	if l.less {
		return nil
	}
	return l.wanted.Audiences
}

// asksLess reports whether a login that ended in err may work without the further audiences. From then on it asks for
// none.
func (f *Flow) asksLess(l *login, err error) bool {
	if l.less || !f.cfg.Provider.MayAskLess(l.wanted.Audiences, err) {
		return false
	}
	l.less = true
	return true
}

// random returns 256 random bits as text that needs no escape in a URL.
func random() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

// makeRoom drops those logins that browsers began which have expired, and the oldest one if there are too many.
func (f *Flow) makeRoom() {
	now, waiting := f.cfg.Now(), 0
	var oldest *login
	for state, l := range f.waiting {
		switch {
		case l.cli:
		case !clock.Within(l.begun, now, WaitingLife):
			delete(f.waiting, state)
		default:
			waiting++
			if oldest == nil || l.begun.Before(oldest.begun) {
				oldest = l
			}
		}
	}
	if waiting >= mostWaiting {
		delete(f.waiting, oldest.state)
	}
}

// End takes no more responses, and waits for the work on those that have come: a code that is being redeemed has some
// seconds more, and what the provider has granted is stored. A program calls End before it exits.
func (f *Flow) End() {
	f.mu.Lock()
	f.ended = true
	timer := time.AfterFunc(granted.Grace, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for l := range f.working {
			if l.abort != nil {
				l.abort()
			}
		}
	})
	f.mu.Unlock()
	defer timer.Stop()
	f.work.Wait()
}

func (l *login) finish(t *provider.Tokens, err error) {
	l.tokens, l.err = t, err
	close(l.done)
}

func (l *login) shown() { l.once.Do(func() { close(l.fetched) }) }
