package localhost

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
)

// A service worker that another app left at our port fetches the callback. The page that the user sees says how to get
// past it, and that works.
func TestServiceWorkerOfAnotherApp(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	base := "http://localhost:" + strconv.Itoa(port)
	serve := func(handler http.Handler) (stop func()) {
		listener, err := ListenPort(t.Context(), port)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan struct{})
		go func() { defer close(served); _ = listener.Serve(ctx, handler) }()
		return func() {
			cancel()
			<-served
			_ = listener.Close()
		}
	}
	stop := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/worker.js" {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte("self.oninstall = () => self.skipWaiting();" +
				"self.onactivate = e => e.waitUntil(clients.claim());" +
				"self.onfetch = e => e.respondWith(fetch(e.request));"))
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<p id=app>app</p><script>navigator.serviceWorker.oncontrollerchange = () => {" +
			"let p = document.createElement('p'); p.id = 'ruled'; p.textContent = 'x'; document.body.append(p) };" +
			"navigator.serviceWorker.register('/worker.js')</script>"))
	}))
	browser.Do(t, chromedp.Navigate(base+"/"), chromedp.WaitVisible(chromedp.CSS("#ruled")))
	stop()
	callbacks := 0
	stop = serve(OwnHost(port, "acme", OnlyNavigation("acme", func(w http.ResponseWriter, _ *http.Request) {
		callbacks++
		Page{Status: http.StatusOK, Good: true, Title: "You are logged in"}.Write(w)
	})))
	defer stop()
	browser.Do(t, chromedp.Navigate(base+"/auth/callback?code=c&state=s"), chromedp.WaitVisible(chromedp.CSS("main")))
	text := chromium.Get(t, browser, chromedp.Text(chromedp.CSS("main")))
	if !strings.Contains(text, "service worker is in the way") || !strings.Contains(text, "hold Shift") || callbacks != 0 {
		t.Errorf("%d callbacks; the page says %q", callbacks, text)
	}
	past := true
	if _, err := chromedp.Call(browser.Context, page.Reload, page.ReloadParams{IgnoreCache: &past}); err != nil {
		t.Fatal(err)
	}
	browser.Do(t, chromedp.WaitVisible(chromedp.CSS("main.good")))
	if callbacks != 1 {
		t.Errorf("%d callbacks", callbacks)
	}
}
