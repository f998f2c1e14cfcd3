package loopback

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
)

// EndSessionConfig says how to end the provider's own session.
type EndSessionConfig struct {
	// URL is the provider's logout, for the browser (OpenID Connect RP-Initiated Logout 1.0, section 2). It may hold an
	// ID token, so it is put into no argument list: the browser is opened at a URL of ours that leads there once.
	URL      string
	PlainURL string        // URL without an ID token, for a browser that may be another user's; "": URL, which holds none
	State    string        // comes back with the browser; "": the provider sends none back
	BaseURL  string        // where the browser comes back to, as registered with the provider; "": http://localhost:3000
	Timeout  time.Duration // how long to wait for that; 0: a minute
	AppName  string        // the program, in the titles of pages; "": none

	TLSHello    func()                                      // called once if a browser asks for https at BaseURL
	OpenBrowser func(ctx context.Context, url string) error // nil: the function OpenBrowser
	Opened      func(url string, err error)                 // called with the URL to open, and what came of opening it
	Left        func()                                      // called when a browser was led to the provider
	// Private returns the URL of a file that only this user can read and that leads to url. The browser is opened at
	// that file where the system does not tell which user asks for url: every user can read argument lists, and url is
	// in the browser's. nil, or an error: the browser is led to PlainURL there.
	Private func(url string) (string, error)
}

// logoutPath is where the browser is led to the provider's logout, once.
const logoutPath = "/auth/logout"

// EndSession opens the provider's logout in the browser and waits until the browser is back. The provider may ask the
// user first. A return without State is ErrNoState. Its other errors wrap a *TimeoutError, and ErrNoVisit too if no
// browser came for the link, or *PortTakenError: then the browser was sent there and its return can't be seen. Where
// the browser can't be opened and nobody knows the URL, for lack of Opened, it returns ErrNoBrowser at once.
func EndSession(ctx context.Context, cfg EndSessionConfig) error {
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Minute)
	cfg.PlainURL = cmp.Or(cfg.PlainURL, cfg.URL)
	if cfg.OpenBrowser == nil {
		cfg.OpenBrowser = OpenBrowser
	}
	listener, err := localhost.Listen(ctx, cfg.BaseURL)
	if err != nil {
		_ = cfg.open(ctx, cfg.PlainURL, cfg.PlainURL)
		return err
	}
	e := ending{EndSessionConfig: &cfg, once: rand.Text(), leaver: rand.Text(), back: make(chan error, 1)}
	target := localurl.At(cfg.BaseURL, logoutPath+"?once="+e.once)
	listener.TLSHello = func() {
		e.seen.Note(login.TLSHello)
		if cfg.TLSHello != nil {
			cfg.TLSHello()
		}
	}
	through := target
	if cfg.Private != nil && !localhost.TellsPeers {
		if file, err := cfg.Private(target); err == nil {
			through, e.private = file, true
		}
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = listener.Serve(serving, localhost.OwnHost(listener.Port(), cfg.AppName, e.routes())) // it ends with serving
	}()
	defer func() {
		stop()
		<-served
	}()
	waiting, cancel := clock.WithTimeoutCause(ctx, cfg.Timeout, ErrTimeout)
	defer cancel()
	if err := cfg.open(waiting, target, through); err != nil && cfg.Opened == nil {
		return noBrowser(err)
	}
	select {
	case err := <-e.back:
		return err
	case <-waiting.Done():
		err := context.Cause(waiting)
		if errors.Is(err, ErrTimeout) {
			err = e.seen.Timeout(0)
			if !e.sent.Load() {
				err = fmt.Errorf("%w: %w", ErrNoVisit, err)
			}
		}
		return err
	}
}

// open opens a browser at through, which leads to target.
func (cfg *EndSessionConfig) open(ctx context.Context, target, through string) error {
	err := cfg.OpenBrowser(ctx, through)
	if cfg.Opened != nil {
		cfg.Opened(target, err)
	}
	return err
}

// An ending is a browser's way to the provider and back.
type ending struct {
	*EndSessionConfig
	once    string      // the secret in the URL that leads to the provider
	private bool        // once is in no argument list
	sent    atomic.Bool // a browser was led to the provider
	seen    login.Sightings
	leaver  string     // the secret in the cookie of the browser that was led there
	back    chan error // gets a value when the browser is back: ErrNoState, or nil
}

// routes returns the pages that lead a browser to the provider and see it come back. The state tells the return from
// other requests, but Auth0's /v2/logout sends none back. So nothing counts as the return before a browser was led to
// the provider, nor what a page makes a browser fetch.
func (e *ending) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+logoutPath, localhost.OnlyNavigation(
		e.AppName, localhost.RefuseOtherUsers(e.leads, e.otherUser(e.usedLink()), e.lead)))
	mux.HandleFunc("GET /{$}",
		localhost.OnlyGET(localhost.RefuseOtherUsers(e.returns, e.otherUser(e.noLogout()), e.returned)))
	mux.Handle("/", localhost.Page{
		Status: http.StatusNotFound, App: e.AppName, Title: "Nothing here",
		Text: "This server waits for a logout and has no other pages.",
	})
	return mux
}

// otherUser refuses another user of this machine on a page, and notes that.
func (e *ending) otherUser(refusal localhost.Page) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		e.seen.Note(login.OtherUser)
		refusal.Write(w)
	}
}

// usedLink is the page for a link that leads nowhere any more, or never did.
func (e *ending) usedLink() localhost.Page {
	return localhost.Page{
		Status: http.StatusNotFound, App: e.AppName, Title: "Nothing here", Text: "This link was for one use.",
	}
}

// noLogout is the page for what is no return from the provider.
func (e *ending) noLogout() localhost.Page {
	return localhost.Page{
		Status: http.StatusBadRequest, App: e.AppName, Title: "No logout is waiting for this", Text: "Nothing was changed.",
	}
}

// leads reports whether r has the secret that leads to the provider.
func (e *ending) leads(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("once")), []byte(e.once)) == 1
}

// lead sends the browser to the provider, once.
func (e *ending) lead(w http.ResponseWriter, r *http.Request) {
	if !e.leads(r) || !e.sent.CompareAndSwap(false, true) {
		e.usedLink().Write(w)
		return
	}
	if e.Left != nil {
		e.Left()
	}
	e.setCookie(w, e.leaver, time.Hour)
	if localhost.Own(r) || e.private {
		http.Redirect(w, r, e.URL, http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, e.PlainURL, http.StatusSeeOther)
}

// returns reports whether r comes back from the provider, as a browser that navigates.
func (e *ending) returns(r *http.Request) bool {
	if !e.sent.Load() || !localhost.IsNavigation(r) {
		return false
	}
	return e.State == "" || slices.Equal(r.URL.Query()["state"], []string{e.State}) || e.withoutState(r)
}

// leaverCookie tells the browser that was led to the provider from all others.
const leaverCookie = "loopkey_leaving"

// withoutState reports whether the browser that was led to the provider is back, from a provider that does not return
// the state.
func (e *ending) withoutState(r *http.Request) bool {
	return e.State != "" && !r.URL.Query().Has("state") &&
		slices.ContainsFunc(r.CookiesNamed(leaverCookie), func(c *http.Cookie) bool {
			return subtle.ConstantTimeCompare([]byte(c.Value), []byte(e.leaver)) == 1
		})
}

// setCookie gives a browser the cookie that it shows when it comes back, or with a life of less than zero takes it.
func (e *ending) setCookie(w http.ResponseWriter, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain http on loopback: not every browser keeps a Secure cookie there
		Name: leaverCookie, Value: value, Path: "/", MaxAge: int(life / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// returned ends the wait for the browser.
func (e *ending) returned(w http.ResponseWriter, r *http.Request) {
	if !e.returns(r) {
		if e.sent.Load() && localhost.IsNavigation(r) && r.URL.Query().Has("state") {
			e.seen.Note(login.OtherLogout)
		}
		e.noLogout().Write(w)
		return
	}
	e.setCookie(w, "", -time.Second)
	page, result := localhost.Page{
		Status: http.StatusOK, App: e.AppName, Good: true, Title: "You are logged out",
		Text: "You are logged out, here and at the provider.",
	}, error(nil)
	if u, err := url.Parse(e.URL); err == nil {
		page.Where = u.Host
	}
	if e.withoutState(r) {
		page.Text, result = "You are logged out here, and your browser is back from the provider.", ErrNoState
	}
	page.Write(w)
	select {
	case e.back <- result:
	default:
	}
}
