package loopback

import (
	"cmp"
	"context"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
)

// EndSessionConfig says how to end the provider's own session.
type EndSessionConfig struct {
	// URL of the provider, for the browser (OpenID Connect RP-Initiated Logout 1.0, section 2). It may hold an ID
	// token: the browser is opened at a page of ours, and redirected to it once.
	URL      string
	PlainURL string        // without an ID token, for whoever may not be the person's browser; "": URL, which holds none
	State    string        // comes back with the browser; "": the provider sends none back
	BaseURL  string        // where it comes back to, registered with the provider; "": DefaultBaseURL
	Timeout  time.Duration // 0: a minute

	OpenBrowser func(ctx context.Context, url string) error // nil: the person's own browser
	Opened      func(url string, err error)                 // where the browser is to go, and what came of opening it
	// Private returns the URL of a file for the person alone that leads to url. The page of ours goes through it where
	// the system does not tell who asks for the page: argument lists, where its URL would stand, are everybody's to
	// read. nil, or an error: then PlainURL is where it leads.
	Private func(url string) (string, error)
}

// logoutPath leads the browser to the provider's logout, once.
const logoutPath = "/auth/logout"

// EndSession opens the provider's end-session URL in the browser and waits until it
// has come back. The provider may ask the person first. Its errors wrap
// *PortTakenError (the browser is opened, the return can't be seen) or ErrTimeout.
func EndSession(ctx context.Context, cfg EndSessionConfig) error {
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.OpenBrowser == nil {
		cfg.OpenBrowser = OpenBrowser
	}
	open := func(ctx context.Context, target, through string) {
		if err := cfg.OpenBrowser(ctx, through); cfg.Opened != nil {
			cfg.Opened(target, err)
		}
	}
	cfg.PlainURL = cmp.Or(cfg.PlainURL, cfg.URL)
	listener, err := localhost.Listen(ctx, cfg.BaseURL)
	if err != nil {
		open(ctx, cfg.PlainURL, cfg.PlainURL)
		return err
	}
	e := ending{EndSessionConfig: &cfg, once: random(), back: make(chan struct{}, 1)}
	target := strings.TrimSuffix(cmp.Or(cfg.BaseURL, localurl.Default), "/") + logoutPath + "?once=" + e.once
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
		_ = listener.Serve(serving, localhost.OwnHost(cfg.BaseURL, appName, e.routes())) // it ends when we do
	}()
	defer func() {
		stop()
		<-served
	}()
	waiting, cancel := clock.WithTimeoutCause(ctx, cfg.Timeout, ErrTimeout)
	defer cancel()
	open(waiting, target, through)
	select {
	case <-e.back:
		return nil
	case <-waiting.Done():
		return context.Cause(waiting)
	}
}

// An ending is a browser's way to the provider and back.
type ending struct {
	*EndSessionConfig
	once    string // leads there, and whoever asks with it first
	private bool   // no argument list has it
	sent    atomic.Bool
	back    chan struct{}
}

// routes know the return by its state, and Auth0's /v2/logout, which sends none back, by nothing. So there is no
// return before somebody was sent to the provider, and none by what a page makes a browser fetch.
func (e *ending) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+logoutPath, localhost.OnlyGET(localhost.RefuseOtherUsers(e.leads, usedLink(), e.lead)))
	mux.HandleFunc("GET /{$}", localhost.OnlyGET(localhost.RefuseOtherUsers(e.returns, noLogout(), e.returned)))
	mux.Handle("/", localhost.Page{Status: http.StatusNotFound, App: appName, Title: "Nothing here",
		Text: "This server waits for a logout and has no other pages."})
	return mux
}

func usedLink() localhost.Page {
	return localhost.Page{Status: http.StatusNotFound, App: appName, Title: "Nothing here", Text: "This link was for one use."}
}

func noLogout() localhost.Page {
	return localhost.Page{Status: http.StatusBadRequest, App: appName, Title: "Not a logout that waits here", Text: "Nothing was changed."}
}

// leads reports whether r has the secret that leads to the provider.
func (e *ending) leads(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("once")), []byte(e.once)) == 1
}

// lead sends the browser to the provider, once.
func (e *ending) lead(w http.ResponseWriter, r *http.Request) {
	if !e.leads(r) || !e.sent.CompareAndSwap(false, true) {
		usedLink().Write(w)
		return
	}
	if localhost.Own(r) || e.private {
		http.Redirect(w, r, e.URL, http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, e.PlainURL, http.StatusSeeOther)
}

// returns reports whether r comes back from the provider, as a browser that navigates.
func (e *ending) returns(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return e.sent.Load() && (e.State == "" || slices.Equal(r.URL.Query()["state"], []string{e.State})) && (dest == "" || dest == "document")
}

func (e *ending) returned(w http.ResponseWriter, r *http.Request) {
	if !e.returns(r) {
		noLogout().Write(w)
		return
	}
	localhost.Page{Status: http.StatusOK, App: appName, Good: true, Title: "You are logged out",
		Text: "You are logged out, here and at the provider.", Next: "You can close this tab."}.Write(w)
	select {
	case e.back <- struct{}{}:
	default:
	}
}
