// Package loopback logs a user in through their own browser, as RFC 8252 asks of a native app.
//
//	tokens, err := loopback.Login(ctx, loopback.Config{
//		Issuer: issuer, ClientID: "example", AppName: "acme",
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	fmt.Println("Hello", tokens.Claims.Text("name"))
//
// The client is registered with the redirect URI http://localhost:3000/auth/callback, unless Config names another one.
//
// Login binds the port of the redirect URI on both loopbacks before it opens the browser. It sends a fresh state, nonce
// and S256 code challenge (RFC 7636), and believes nothing before it is verified. A forged, stale or foreign callback
// gets an error page and ends nothing; the page that says "You are logged in" comes after the tokens were stored.
package loopback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/provider"
)

// DefaultScope is "openid profile email offline_access", the scope of a login without Config.Scope. It is exported for
// programs that ask for more scopes than these.
const DefaultScope = provider.DefaultScope

var (
	// ErrTimeout says that the user did not come back from the browser in time. It comes as a *TimeoutError.
	ErrTimeout = login.ErrTimeout
	// ErrNoVisit says that no browser came for the link of EndSession in time.
	ErrNoVisit = login.ErrNoVisit
	// ErrNoState says that the browser which EndSession led to the provider's logout came back, without the state that
	// was sent there: the provider does not return it, or another page sent the browser back.
	ErrNoState = login.ErrNoState
	// ErrAgain is for Config.Store to return: the login has to be made once more, for its tokens are worth nothing.
	// The browser is sent through it at once, without a question where the provider remembers the user.
	ErrAgain = login.ErrAgain
)

// A PortTakenError says that another program has bound the port of the redirect URI. It has the Port, the Addr that
// could not be bound, and the Holder: a program and its process ID, or "" where the system does not tell.
type PortTakenError = localhost.PortTakenError

// A PortsTakenError says that none of Config.Ports can be bound. Its Errs say why, for each.
type PortsTakenError = localhost.PortsTakenError

// A TimeoutError is an ErrTimeout. Its Saw says what the server saw in place of the provider's response; "" is nothing.
type TimeoutError = login.TimeoutError

// Config says for which client the user logs in, and what the program wants to hear of it.
type Config struct {
	// Issuer and ClientID are required, unless Provider is given in place of these four.
	Issuer, ClientID string
	ClientSecret     provider.Secret // zero: a public client, which PKCE alone protects
	HTTPClient       *http.Client    // for requests to the provider; nil: one with limits
	Provider         *provider.Provider

	AppName  string // the program, in titles of pages and, unless Provider is given, the User-Agent; "": none
	Scope    string // "": DefaultScope
	Audience string // the API that the access token is for; "": the provider's default
	// Audiences are further APIs, that the refresh token is to get tokens for. A provider that grants one at a time is
	// asked for Audience alone. Tokens.Audiences says which were granted.
	Audiences []string
	Params    url.Values // further parameters of the authorization request, such as prompt and login_hint
	// Need is what the user's authentication has to be. It is asked for, and what comes back is compared.
	Need provider.Requirement

	// Prover has the key that the tokens are bound to (DPoP); nil: a new one, where the Provider is configured for that.
	Prover *provider.Prover

	// RedirectURI is where the browser comes back to, as registered with the provider: http://, then localhost,
	// 127.0.0.1 or [::1], a port and a path. Port 0 stands for one that is free on both loopbacks; the provider must
	// allow any (RFC 8252, section 7.3). "" is the path /auth/callback under BaseURL.
	RedirectURI string
	BaseURL     string // "": http://localhost:3000
	// Ports are in place of the port of RedirectURI, or of BaseURL: the first that is free on both loopbacks becomes the
	// one of the redirect URI. The provider has to know the redirect URI with each of them. nil: that port alone.
	Ports   []int
	Timeout time.Duration // how long the user has; 0: three minutes

	OpenBrowser func(ctx context.Context, url string) error   // nil: the function OpenBrowser
	ShowURL     func(url string)                              // called before the browser is opened, which may fail
	Opened      func(error)                                   // called with what came of opening it
	Store       func(context.Context, *provider.Tokens) error // called before the page says that the login worked
	Pasted      <-chan string                                 // URLs that a browser on another machine ended up at
	Rejected    func(reason string)                           // called with why one of them was not the right one
	TLSHello    func()                                        // called once if a browser asks for https here
	// Bound is called with the redirect URI when its port is bound, and with why those before it in Ports were not.
	Bound func(redirectURI string, passed []error)
	// Attend is called when the port is bound, and what it returns before the port is free again. Its error ends the login
	// before anything was asked of the user. It is for loopkey's own commands, which let other terminals share the login.
	// Its type is internal, so other programs leave it nil; without the field those commands would need a second Login.
	Attend func(*login.Flow) (end func(), err error)
	// Advice returns what the user can do about an error, for the page that says how the login went; nil, or "": nothing.
	Advice func(error) string
}

// pageLimit is how long Login waits for the browser to fetch the page that says how the login went.
const pageLimit = 2 * time.Second

// Login logs the user in and returns the tokens. Its errors wrap those of package provider, ErrTimeout,
// *PortTakenError (for each of Ports, in a *PortsTakenError), or what Store returned. Where the browser can't be opened
// and nobody knows the URL, for lack of ShowURL and Pasted, it returns ErrNoBrowser at once. The port is free when it
// returns.
func Login(ctx context.Context, cfg Config) (*provider.Tokens, error) {
	p, err := cfg.provider()
	if err != nil {
		return nil, err
	}
	redirectURI, redirect, err := cfg.redirect()
	if err != nil {
		return nil, err
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 3*time.Minute)
	if cfg.OpenBrowser == nil {
		cfg.OpenBrowser = OpenBrowser
	}
	warm := warming(ctx, p, cfg.Timeout)
	defer func() { _ = warm(false) }()
	ports := cfg.Ports
	if len(ports) == 0 {
		ports = []int{localurl.Port(redirect)}
	}
	listener, passed, err := localhost.ListenFirst(ctx, ports...)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	if port := listener.Port(); port != localurl.Port(redirect) {
		redirect.Host = net.JoinHostPort(redirect.Hostname(), strconv.Itoa(port))
		redirectURI = redirect.String()
	}
	if cfg.Bound != nil {
		cfg.Bound(redirectURI, passed)
	}
	flow := login.New(login.Config{
		Prover: cfg.prover(p), Provider: p, RedirectURI: redirectURI, App: cfg.AppName,
		Store: func(ctx context.Context, _ *http.Request, _ *login.Pending, t *provider.Tokens) error {
			if cfg.Store == nil {
				return nil
			}
			return cfg.Store(ctx, t)
		},
		Advice: cfg.Advice,
	})
	listener.TLSHello = func() {
		flow.Note(login.TLSHello)
		if cfg.TLSHello != nil {
			cfg.TLSHello()
		}
	}
	end, err := cfg.attend(flow)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := warm(true); err != nil {
		return nil, err
	}
	pending, err := flow.Begin(ctx, login.Request{
		Wanted: login.Wanted{
			Scope: cfg.Scope, Audience: cfg.Audience, Audiences: cfg.Audiences, Params: cfg.Params,
			Need: cfg.Need,
		}, CLI: true, Share: true,
	})
	if err != nil {
		return nil, err
	}
	toOpen := pending.URL
	if environ.TooLong(os.Environ(), toOpen) {
		toOpen = pending.Short()
	}
	return cfg.wait(ctx, listener, cfg.routes(flow, pending, redirect.Path), flow, pending, toOpen, end)
}

// prover chooses the prover of the login: the configured one, or else a new one.
func (cfg *Config) prover(p *provider.Provider) func(context.Context, login.Wanted) (*provider.Prover, error) {
	return func(ctx context.Context, _ login.Wanted) (*provider.Prover, error) {
		if cfg.Prover != nil {
			return cfg.Prover, nil
		}
		return p.NewProver(ctx)
	}
}

func (cfg *Config) provider() (*provider.Provider, error) {
	if cfg.Provider != nil {
		return cfg.Provider, nil
	}
	return provider.New(provider.Config{
		Issuer: cfg.Issuer, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret,
		AppName: cfg.AppName, HTTPClient: cfg.HTTPClient,
	})
}

// redirect returns the redirect URI, to the letter and parsed. Its port is 0 where any will do.
func (cfg *Config) redirect() (raw string, u *url.URL, err error) {
	if cfg.RedirectURI == "" {
		if u, err = localurl.Base(cfg.BaseURL); err != nil {
			return "", nil, err
		}
		u.Path = login.CallbackPath
		return localurl.At(cfg.BaseURL, login.CallbackPath), u, nil
	}
	u, err = localurl.ParseRedirect(cfg.RedirectURI)
	if err == nil && u.Path == login.ResultPath {
		err = errors.New("is the page that says how the login went")
	}
	if err != nil {
		return "", nil, fmt.Errorf("redirect URI %q %w", cfg.RedirectURI, err)
	}
	return cfg.RedirectURI, u, nil
}

// warming fetches the provider's discovery while the port is bound, for as long as the user would have to log in. What
// it returns waits for that, or with false ends it.
func warming(ctx context.Context, p *provider.Provider, limit time.Duration) func(wanted bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = p.Warm(ctx)
	}()
	return func(wanted bool) error {
		if !wanted {
			cancel()
		}
		<-done
		cancel()
		return err
	}
}

// wait serves the routes and opens the browser, until it is known what came of the login.
func (cfg *Config) wait(
	ctx context.Context, listener *localhost.Listener, routes http.Handler, flow *login.Flow, pending *login.Pending,
	toOpen string, end func(),
) (*provider.Tokens, error) {
	// A browser whose response has come is told what came of it, even if ctx ends.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = listener.Serve(serving, localhost.OwnHost(listener.Port(), cfg.AppName, routes)) // it ends with serving
	}()
	defer func() {
		stop()
		<-served
	}()
	// Before the port is free again: what the provider has granted is stored, and terminals that share the login hear it.
	defer flow.End()
	defer end()
	opening, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	waiting, cancel := clock.WithTimeoutCause(opening, cfg.Timeout, ErrTimeout)
	if cfg.ShowURL != nil {
		cfg.ShowURL(pending.URL)
	}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	helpers.Go(func() { // a launcher may take its time
		err := cfg.OpenBrowser(waiting, toOpen)
		if cfg.Opened != nil {
			cfg.Opened(err)
		}
		if err != nil && cfg.ShowURL == nil && cfg.Pasted == nil {
			giveUp(noBrowser(err))
		}
	})
	helpers.Go(func() { pending.TakePasted(waiting, cfg.Pasted, cfg.Rejected) })
	tokens, err := pending.Wait(waiting)
	if !done(pending) { // others may wait for a response that has come
		end()
		flow.End()
		if !done(pending) { // the browser has no page to fetch
			return nil, err
		}
		tokens, err = pending.Wait(context.WithoutCancel(ctx))
	}
	interrupted := ctx.Done()
	if ctx.Err() != nil { // the response came all the same, and its page is worth the wait
		interrupted = nil
	}
	timer := time.NewTimer(pageLimit)
	defer timer.Stop()
	select {
	case <-pending.Fetched():
	case <-timer.C:
	case <-interrupted:
	}
	return tokens, err
}

// done reports whether it is known what came of a login.
func done(pending *login.Pending) bool {
	select {
	case <-pending.Done():
		return true
	default:
		return false
	}
}

// attend calls Attend, and returns what ends it, once.
func (cfg *Config) attend(flow *login.Flow) (end func(), err error) {
	if cfg.Attend == nil {
		return func() {}, nil
	}
	if end, err = cfg.Attend(flow); err != nil {
		return nil, err //nolint:wrapcheck // the caller's own
	}
	return sync.OnceFunc(end), nil
}

// noBrowser makes any error of opening a browser match ErrNoBrowser.
func noBrowser(err error) error {
	if errors.Is(err, ErrNoBrowser) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoBrowser, err)
}

// routes are those of a login without a web UI.
func (cfg *Config) routes(flow *login.Flow, pending *login.Pending, callbackPath string) http.Handler {
	mux := http.NewServeMux()
	page := func(p localhost.Page) localhost.Page {
		p.App = cfg.AppName
		return p
	}
	if callbackPath != "/" {
		waits := page(localhost.Page{
			Status: http.StatusOK, Good: true, Title: "A login is under way",
			Text: "Finish it in the tab that was opened for it.",
		})
		ended := page(localhost.Page{
			Status: http.StatusOK, Good: true, Title: "The login has ended",
			Text: "You can close this tab and go back to your terminal.",
		})
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			if done(pending) {
				ended.Write(w)
			} else {
				waits.Write(w)
			}
		})
	}
	if strings.HasSuffix(callbackPath, "/") {
		callbackPath += "{$}" // and nothing under it
	}
	mux.HandleFunc("GET "+callbackPath, flow.Callback)
	mux.HandleFunc("GET "+login.ResultPath, flow.Result)
	mux.HandleFunc("GET "+login.ShortPath, flow.Short)
	mux.Handle("/", page(localhost.Page{
		Status: http.StatusNotFound, Title: "Nothing here", Text: "This server waits for a login and has no other pages.",
	}))
	return mux
}
