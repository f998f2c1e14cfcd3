package webui_test

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// inFrontOf puts an app behind the guard.
func inFrontOf(app string) func(*scene, *webui.Config) {
	return func(_ *scene, cfg *webui.Config) { cfg.Upstream = app }
}

// The app has /, whatever else asks there; loopkey's start page is at /auth/, where strangers are led.
func TestAppHasTheRoot(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("the app at " + r.RequestURI))
	}))
	t.Cleanup(app.Close)
	s := newScene(t, inFrontOf(app.URL))
	stranger := newClient(nil)
	known, _ := s.login(t, "/profile")
	for name, c := range map[string]struct {
		client               *http.Client
		method, path, accept string
		status               int
		says, leads          string
	}{
		"the app":                   {known, "GET", "/", "text/html", 200, "the app at /", ""},
		"its query":                 {known, "GET", "/?token=x&state=y", "", 200, "the app at /?token=x&state=y", ""},
		"its form":                  {known, "POST", "/", "", 200, "the app at /", ""},
		"its short addresses":       {known, "GET", "/go/ABCD2345", "", 200, "the app at /go/ABCD2345", ""},
		"the start page":            {known, "GET", "/auth/", "text/html", 200, `<a class="button" href="/">`, ""},
		"a stranger's browser":      {stranger, "GET", "/", "text/html", 303, "", "/auth/"},
		"a stranger's client":       {stranger, "GET", "/?token=x", "", 401, "unauthorized", ""},
		"a stranger's start page":   {stranger, "GET", "/auth/", "text/html", 200, `href="/auth/login"`, ""},
		"a stranger deeper":         {stranger, "GET", "/x", "text/html", 303, "", "/auth/login?returnTo=%2Fx"},
		"a stranger's logout":       {stranger, "POST", "/auth/logout", "", 303, "", "/auth/"},
		"a page that is not there":  {known, "GET", "/auth/nowhere", "text/html", 404, `href="/auth/">Home`, ""},
		"a callback that was taken": {known, "GET", "/auth/callback?state=x", "text/html", 400, `href="/auth/"`, ""},
	} {
		status, body, header := ask(t, c.client, c.method, s.base+c.path, nil, "Accept", c.accept)
		if status != c.status || !strings.Contains(body, c.says) || header.Get("Location") != c.leads {
			t.Errorf("%s: %d %q\n%s", name, status, header.Get("Location"), body)
		}
	}
	if s.server.HomeURL() != s.base+"/auth/" {
		t.Error(s.server.HomeURL())
	}
	// The provider's logout leads back to the base URL, which is the app's: the start page says how it went.
	_, _, header := ask(t, known, http.MethodPost, s.base+"/auth/logout", url.Values{})
	_, _, header = ask(t, known, http.MethodGet, s.base+header.Get("Location"), nil)
	_, leave, ok := strings.Cut(header.Get("Refresh"), "url=")
	if !ok {
		t.Fatalf("no way to the provider: %v", header)
	}
	_, _, header = ask(t, known, http.MethodGet, leave, nil, "Accept", "text/html")
	back := header.Get("Location")
	if !strings.HasPrefix(back, s.base+"?state=") && !strings.HasPrefix(back, s.base+"/?state=") {
		t.Fatalf("the provider leads to %q", back)
	}
	_, _, header = ask(t, known, http.MethodGet, back, nil, "Accept", "text/html")
	_, body, _ := ask(t, known, http.MethodGet, s.base+header.Get("Location"), nil, "Accept", "text/html")
	if !strings.Contains(body, "You are logged out, here and at the provider.") {
		t.Errorf("%v\n%s", header, body)
	}
}

// The app's access token comes from memory while the session stays as it is: no request costs a read of the keystore.
// After a renewal it is the new one, and of a session that has ended there is none, nor of the one after it.
func TestAppTokenFromMemory(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("Authorization")))
	}))
	t.Cleanup(app.Close)
	s := newScene(t, inFrontOf(app.URL), func(_ *scene, cfg *webui.Config) { cfg.PassAccessToken = true })
	known, _ := s.login(t, "/profile")
	get := func() (int, string) {
		status, body, _ := ask(t, known, http.MethodGet, s.base+"/", nil)
		return status, body
	}
	token := func() string {
		t.Helper()
		token, err := s.session.AccessToken(t.Context(), session.Request{})
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token.Token.Reveal()
	}
	first := token()
	get()
	reads := s.store.reads.Load()
	for range 20 {
		if status, body := get(); status != http.StatusOK || body != first {
			t.Fatalf("%d %s", status, body)
		}
	}
	if more := s.store.reads.Load() - reads; more != 0 {
		t.Errorf("20 requests read the keystore %d times", more)
	}
	if _, err := s.session.AccessToken(t.Context(), session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, body := get(); body == first || body != token() {
		t.Error("after a renewal the app gets another token than the session has")
	}
	s.ahead.Add(int64(2 * time.Hour)) // it has expired
	if status, body := get(); status != http.StatusOK || body != token() {
		t.Errorf("after the expiry: %d %s", status, body)
	}
	if _, err := s.session.End(t.Context(), session.EndOptions{}); err != nil {
		t.Fatal(err)
	}
	if status, body := get(); status != http.StatusUnauthorized || strings.Contains(body, "Bearer ey") {
		t.Errorf("after the logout: %d %s", status, body)
	}
	s.login(t, "/profile") // in another browser
	if status, body := get(); status != http.StatusUnauthorized || strings.Contains(body, "Bearer ey") {
		t.Errorf("after the next login: %d %s", status, body)
	}
}

// A WebSocket to the app ends with the session, at both ends.
func TestSocketEndsWithTheSession(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = buffered.ReadByte()
		_ = conn.Close()
	}))
	t.Cleanup(app.Close)
	s := newScene(t, inFrontOf(app.URL))
	known, _ := s.login(t, "/profile")
	base, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", base.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r := s.request(t, known.Jar, "/hmr")
	for name, value := range map[string]string{"Origin": s.base, "Connection": "Upgrade", "Upgrade": "websocket"} {
		r.Header.Set(name, value)
	}
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, r)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := s.session.End(t.Context(), session.EndOptions{Local: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the browser's end goes on")
	}
	<-ended
}

// In another program the pages bear its name, also those of errors.
func TestAppName(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(_ *scene, cfg *webui.Config) { cfg.AppName = "acme <b>" })
	known, _ := s.login(t, "/profile")
	for _, path := range []string{
		"/", "/profile", "/auth/logout", "/nowhere", "/auth/callback?state=x", "/auth/done?id=x", "/auth/enter?once=x",
	} {
		for _, client := range []*http.Client{known, newClient(nil)} {
			status, body, _ := ask(t, client, http.MethodGet, s.base+path, nil, "Accept", "text/html")
			body = strings.NewReplacer("loopkey_", "", "profile=loopkey", "").Replace(body)
			if strings.Contains(body, "loopkey") || status != http.StatusSeeOther && !strings.Contains(body, "acme &lt;b&gt;") {
				t.Errorf("%s: %d\n%s", path, status, body)
			}
		}
	}
}

// Without an app the start page is at /, and /auth/ leads there.
func TestStartPageWithoutAnApp(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	status, _, header := ask(t, newClient(nil), http.MethodGet, s.base+"/auth/", nil)
	if status != http.StatusSeeOther || header.Get("Location") != "/" || s.server.HomeURL() != s.base+"/" {
		t.Errorf("%d %v %s", status, header, s.server.HomeURL())
	}
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
	oneTime, _ := s.server.OneTimeURL()
	browser.Do(t, chromedp.Navigate(oneTime), chromedp.Navigate(s.base+"/app"),
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
