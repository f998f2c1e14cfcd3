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
)

// EndSessionConfig says how to end the provider's own session.
type EndSessionConfig struct {
	// URL of the provider, for the browser (OpenID Connect RP-Initiated Logout 1.0, section 2). It may hold an ID
	// token: the browser is opened at a page of ours, and redirected to it once.
	URL      string
	PlainURL string        // without an ID token, for where no page of ours can be; "": URL
	State    string        // comes back with the browser; "": the provider sends none back
	BaseURL  string        // where it comes back to, registered with the provider; "": DefaultBaseURL
	Timeout  time.Duration // 0: a minute

	OpenBrowser func(ctx context.Context, url string) error // nil: the person's own browser
	Opened      func(url string, err error)                 // what was opened, and what came of it
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
	open := func(ctx context.Context, target string) {
		if err := cfg.OpenBrowser(ctx, target); cfg.Opened != nil {
			cfg.Opened(target, err)
		}
	}
	listener, err := Listen(ctx, cfg.BaseURL)
	if err != nil {
		open(ctx, cmp.Or(cfg.PlainURL, cfg.URL))
		return err
	}
	back := make(chan struct{}, 1)
	once := random()
	serving, stop := context.WithCancel(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = listener.Serve(serving, OwnHost(cfg.BaseURL, cfg.routes(once, back))) // it ends when we do
	}()
	defer func() {
		stop()
		<-served
	}()
	waiting, cancel := Deadline(ctx, cfg.Timeout)
	defer cancel(nil)
	open(waiting, strings.TrimSuffix(cmp.Or(cfg.BaseURL, DefaultBaseURL), "/")+logoutPath+"?once="+once)
	select {
	case <-back:
		return nil
	case <-waiting.Done():
		return context.Cause(waiting)
	}
}

// routes know the return by its state. Auth0's /v2/logout sends none back.
func (cfg *EndSessionConfig) routes(once string, back chan<- struct{}) http.Handler {
	mux := http.NewServeMux()
	var used atomic.Bool
	mux.HandleFunc("GET "+logoutPath, OnlyGET(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("once")), []byte(once)) != 1 || !used.CompareAndSwap(false, true) {
			page{Status: http.StatusNotFound, Title: "Nothing here", Text: "This link was for one use."}.write(w)
			return
		}
		http.Redirect(w, r, cfg.URL, http.StatusSeeOther)
	}))
	mux.HandleFunc("GET /{$}", OnlyGET(func(w http.ResponseWriter, r *http.Request) {
		if cfg.State != "" && !slices.Equal(r.URL.Query()["state"], []string{cfg.State}) {
			page{Status: http.StatusBadRequest, Title: "Not a logout that waits here", Text: "Nothing was changed."}.write(w)
			return
		}
		page{Status: http.StatusOK, Good: true, Title: "You are logged out", Text: "You are logged out, here and at the provider.",
			Next: "You can close this tab."}.write(w)
		select {
		case back <- struct{}{}:
		default:
		}
	}))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		page{Status: http.StatusNotFound, Title: "Nothing here", Text: "This server waits for a logout and has no other pages."}.write(w)
	})
	return mux
}
