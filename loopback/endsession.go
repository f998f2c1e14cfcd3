package loopback

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// EndSessionConfig says how to end the provider's own session.
type EndSessionConfig struct {
	URL     string        // of the provider, for the browser (OpenID Connect RP-Initiated Logout 1.0, section 2)
	State   string        // comes back with the browser; "": the provider sends none back
	BaseURL string        // where it comes back to, registered with the provider; "": DefaultBaseURL
	Timeout time.Duration // 0: a minute

	OpenBrowser func(ctx context.Context, url string) error // nil: the person's own browser
	Opened      func(error)                                 // what came of opening it
}

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
	open := func(ctx context.Context) {
		if err := cfg.OpenBrowser(ctx, cfg.URL); cfg.Opened != nil {
			cfg.Opened(err)
		}
	}
	listener, err := Listen(ctx, cfg.BaseURL)
	if err != nil {
		open(ctx)
		return err
	}
	back := make(chan struct{}, 1)
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- listener.Serve(serving, OwnHost(cfg.BaseURL, cfg.routes(back))) }()
	defer func() {
		stop()
		<-served
	}()
	waiting, cancel := deadline(ctx, cfg.Timeout)
	defer cancel(nil)
	open(waiting)
	select {
	case <-back:
		return nil
	case <-waiting.Done():
		return context.Cause(waiting)
	}
}

// routes know the return by its state. Auth0's /v2/logout sends none back.
func (cfg *EndSessionConfig) routes(back chan<- struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
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
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		page{Status: http.StatusNotFound, Title: "Nothing here", Text: "This server waits for a logout and has no other pages."}.write(w)
	})
	return mux
}
