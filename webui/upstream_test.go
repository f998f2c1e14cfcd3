package webui_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/webui"
)

// inFrontOf puts an app behind the guard.
func inFrontOf(app string) func(*scene, *webui.Config) {
	return func(_ *scene, cfg *webui.Config) { cfg.Upstream = app }
}

// An app that is down has a page that waits for it, and an error for what is no browser.
func TestAppThatIsDown(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	s := newScene(t, inFrontOf("http://"+address))
	known, _ := s.login(t, "/profile")
	status, body, header := ask(t, known, http.MethodGet, s.base+"/x", nil, "Accept", "text/html")
	if status != http.StatusBadGateway ||
		header.Get("Loopkey-Upstream") != "down" || header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(body, "Nothing listens at http://"+address) || !strings.Contains(body, "waiting-") {
		t.Errorf("%d %v\n%s", status, header, body)
	}
	status, body, header = ask(t, known, http.MethodGet, s.base+"/x", nil)
	if status != http.StatusBadGateway || header.Get("Content-Type") != "application/json" || !json.Valid([]byte(body)) {
		t.Errorf("%d %v\n%s", status, header, body)
	}
}

// The page for an app that is down opens the app when it is back, without a hand on it.
func TestWaitingPage(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	up := make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-up:
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<!doctype html><title>back</title>"))
		default: // down: the connection breaks off before there is a response
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(app.Close)
	s := newScene(t, inFrontOf(app.URL))
	s.login(t, "/profile")
	browser.Do(t, chromedp.Navigate(s.server.OneTimeURL()), chromedp.Navigate(s.base+"/app"),
		chromedp.WaitVisible(chromedp.CSS("#waiting")))
	close(up)
	for {
		title, err := chromedp.Run(browser.Context, chromedp.Title())
		if title == "back" {
			return
		}
		if browser.Context.Err() != nil {
			t.Fatalf("the page still says %q: %v", title, err)
		}
	}
}
