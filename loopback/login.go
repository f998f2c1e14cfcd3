// Package loopback logs a person in through their own browser, as RFC 8252 asks of a
// native app.
//
//	tokens, err := loopback.Login(ctx, loopback.Config{Issuer: "https://acme.eu.auth0.com/", ClientID: "s6BhdRkqt3"})
//
// Login binds the port on both loopbacks before it opens the browser, sends a fresh
// state, nonce and S256 code challenge (RFC 7636), and believes nothing before it is
// verified. A forged, stale or foreign callback gets an error page and ends nothing;
// the page that says "you are logged in" comes after the tokens were stored.
package loopback

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/provider"
)

// Config says where and how to log in. Issuer and ClientID, or Provider, are required.
type Config struct {
	Issuer, ClientID string
	ClientSecret     provider.Secret    // zero: a public client
	Provider         *provider.Provider // nil: made of the three above
	Scope            string             // "": DefaultScope
	Audience         string             // the API that the access token is for
	BaseURL          string             // "": DefaultBaseURL; BaseURL + CallbackPath is registered with the provider
	Params           url.Values         // organization, prompt, login_hint … for the authorization request
	Timeout          time.Duration      // how long the person has; 0: three minutes

	OpenBrowser func(ctx context.Context, url string) error   // nil: the person's own browser
	ShowURL     func(url string)                              // called before the browser is opened; it may not open
	Opened      func(error)                                   // what came of opening it
	Store       func(context.Context, *provider.Tokens) error // called before the page says that it worked
	Pasted      <-chan string                                 // final URLs that came another way
	Rejected    func(reason string)                           // why one of them was not the answer
	Advice      func(error) string                            // what a person can do about an error, for the result page; may be nil
}

// pageLimit is how long to wait for the browser to fetch the page that says how it went.
const pageLimit = 2 * time.Second

// Login logs a person in. Its errors wrap provider's, ErrTimeout, *PortTakenError, or
// what Store returned; the port is free when it returns.
func Login(ctx context.Context, cfg Config) (*provider.Tokens, error) {
	p := cfg.Provider
	if p == nil {
		var err error
		if p, err = provider.New(provider.Config{Issuer: cfg.Issuer, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret}); err != nil {
			return nil, err
		}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 3 * time.Minute
	}
	if cfg.OpenBrowser == nil {
		cfg.OpenBrowser = OpenBrowser
	}
	listener, err := listenWarm(ctx, p, cfg.BaseURL, cfg.Timeout)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	flow := NewFlow(FlowConfig{
		Provider: p, BaseURL: cfg.BaseURL, Scope: cfg.Scope, Audience: cfg.Audience,
		Store: func(ctx context.Context, _ *http.Request, _ *Pending, t *provider.Tokens) error {
			if cfg.Store == nil {
				return nil
			}
			return cfg.Store(ctx, t)
		},
		Advice: cfg.Advice,
	})
	pending, err := flow.Begin(ctx, Request{Params: cfg.Params, CLI: true})
	if err != nil {
		return nil, err
	}
	return cfg.wait(ctx, listener, flow, pending)
}

// listenWarm binds the port while the provider's discovery is under way, no longer than
// a person would have to log in. With either the other ends.
func listenWarm(ctx context.Context, p *provider.Provider, baseURL string, limit time.Duration) (*localhost.Listener, error) {
	warming, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	warm := make(chan error, 1)
	go func() { warm <- p.Warm(warming) }()
	listener, err := localhost.Listen(ctx, baseURL)
	if err != nil {
		cancel()
	}
	if warmErr := <-warm; err == nil && warmErr != nil {
		_ = listener.Close()
		return nil, warmErr
	}
	return listener, err
}

func (cfg *Config) wait(ctx context.Context, listener *localhost.Listener, flow *Flow, pending *Pending) (*provider.Tokens, error) {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // an answer that has come is told about, whatever ends us
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = listener.Serve(serving, localhost.OwnHost(cfg.BaseURL, appName, routes(flow, pending))) // it ends when we do
	}()
	defer func() {
		stop()
		<-served
	}()
	waiting, cancel := clock.WithTimeoutCause(ctx, cfg.Timeout, ErrTimeout)
	if cfg.ShowURL != nil {
		cfg.ShowURL(pending.URL)
	}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	helpers.Go(func() { // a launcher may take its time
		if err := cfg.OpenBrowser(waiting, pending.URL); cfg.Opened != nil {
			cfg.Opened(err)
		}
	})
	helpers.Go(func() { cfg.takePasted(waiting, flow) })
	tokens, err := pending.Wait(waiting)
	select {
	case <-pending.login.done:
	default: // nobody came back, so no page is to be fetched
		return nil, err
	}
	interrupted := ctx.Done()
	if ctx.Err() != nil { // what came of it all the same is worth a page
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

// routes are those of a login without a web UI.
func routes(flow *Flow, pending *Pending) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+CallbackPath, localhost.OnlyGET(flow.Callback))
	mux.HandleFunc("GET "+ResultPath, localhost.OnlyGET(flow.Result))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-pending.login.done:
			localhost.Page{Status: http.StatusOK, App: appName, Good: true, Title: "The login is over",
				Text: "You can close this tab and go back to your terminal."}.Write(w)
		default:
			localhost.Page{Status: http.StatusOK, App: appName, Good: true, Title: "A login is under way",
				Text: "Finish it in the tab that was opened for it."}.Write(w)
		}
	})
	mux.Handle("/", localhost.Page{Status: http.StatusNotFound, App: appName, Title: "Nothing here",
		Text: "This server waits for a login and has no other pages."})
	return mux
}

func (cfg *Config) takePasted(ctx context.Context, flow *Flow) {
	for {
		select {
		case <-ctx.Done():
			return
		case raw, ok := <-cfg.Pasted:
			if !ok {
				return
			}
			if err := flow.Answer(ctx, raw); err != nil && cfg.Rejected != nil {
				cfg.Rejected(err.Error())
			}
		}
	}
}

// A PortTakenError says that another program holds the port of the base URL.
type PortTakenError = localhost.PortTakenError

// DefaultBaseURL is where the browser comes back to unless it is configured.
const DefaultBaseURL = localurl.Default

// appName is the program on the pages.
const appName = "loopkey"
