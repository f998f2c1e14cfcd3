package webui_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// inOwnServer serves the scene by another program's server and mux, with an app behind the guard.
func (s *scene) inOwnServer(t *testing.T, app http.HandlerFunc) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", s.server.Handler())
	mux.Handle("/app/", http.StripPrefix("/app", s.server.Guard(app)))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(mux)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
}

// Guard needs nothing around it: not Handler's checks, not our listener, not Run.
func TestGuardIsWhole(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	s.inOwnServer(t, func(w http.ResponseWriter, r *http.Request) {
		claims, ok := webui.User(r)
		if !ok || r.URL.Path != "/x" {
			t.Errorf("the app is asked for %s by %v", r.URL, claims)
		}
		_, _ = io.WriteString(w, "hello "+claims.Subject())
	})
	known, visit := s.login(t, "/app/x")
	if visit.URL != s.base+"/app/x" || visit.Body != "hello ada" {
		t.Errorf("the login ends at %s: %s", visit.URL, visit.Body)
	}
	stranger := newClient(nil)
	for name, c := range map[string]struct {
		client  *http.Client
		method  string
		headers []string
		want    int
	}{
		"known":                      {known, "GET", nil, 200},
		"known, by POST":             {known, "POST", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"a stranger's browser":       {stranger, "GET", []string{"Accept", "text/html"}, 303},
		"a stranger's client":        {stranger, "GET", nil, 401},
		"another host":               {known, "GET", []string{"Host", "evil.example"}, 421},
		"another port":               {known, "GET", []string{"Host", "localhost:1"}, 421},
		"a form of another site":     {known, "POST", fetched("cross-site", "navigate", "document"), 403},
		"a form of another port":     {known, "POST", fetched("same-site", "navigate", "document"), 403},
		"a form, an old browser":     {known, "POST", []string{"Origin", "http://localhost:5173"}, 403},
		"our own page":               {known, "GET", append(fetched("same-origin", "cors", "empty"), "Origin", "null"), 200},
		"typed":                      {known, "GET", fetched("none", "navigate", "document"), 200},
		"a link elsewhere":           {known, "GET", fetched("cross-site", "navigate", "document"), 200},
		"our origin, an old browser": {known, "GET", []string{"Origin", s.base}, 200},
		"fetch from another port":    {known, "GET", fetched("same-site", "no-cors", "empty"), 403},
		"picture elsewhere":          {known, "GET", fetched("cross-site", "no-cors", "image"), 403},
		"frame on another port":      {known, "GET", fetched("same-site", "navigate", "iframe"), 403},
		"socket of another port":     {known, "GET", append(socket(), "Origin", "http://localhost:1"), 403},
		"socket of nowhere":          {known, "GET", append(socket(), "Origin", "null"), 403},
		"the same host, other port":  {known, "GET", []string{"Origin", "http://127.0.0.1:1"}, 403},
	} {
		got, body, header := ask(t, c.client, c.method, s.base+"/app/x", nil, c.headers...)
		if got != c.want || (got == 200) != (body == "hello ada") {
			t.Errorf("%s: %d, not %d: %s", name, got, c.want, body)
		}
		if header.Get("Cache-Control") != "no-store" || header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %v", name, header)
		}
	}
}

// socket returns the headers of a request that opens a WebSocket.
func socket() []string { return []string{"Connection", "Upgrade", "Upgrade", "websocket"} }

// A session that another process ended opens nothing, also where nobody calls Run.
func TestGuardLooksItself(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	s := prepare(t, func(_ *scene, cfg *webui.Config) {
		cfg.Now = func() time.Time { return time.Now().Round(0).Add(time.Duration(later.Load())) }
	})
	s.inOwnServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	known, visit := s.login(t, "/app/")
	if visit.Body != "hello" {
		t.Fatalf("the login ends at %s: %s", visit.URL, visit.Body)
	}
	if _, err := s.session.End(t.Context(), session.EndOptions{Local: true}); err != nil {
		t.Fatal(err)
	}
	later.Store(int64(2 * time.Second))
	if status, body, _ := ask(t, known, http.MethodGet, s.base+"/app/", nil); status != http.StatusUnauthorized {
		t.Errorf("after the end: %d %s", status, body)
	}
}

// What other pages, other sites and other hosts can't do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	known, _ := s.login(t, "/")
	stranger := newClient(nil)
	page := []string{"Accept", "text/html"}
	for name, c := range map[string]struct {
		client       *http.Client
		method, path string
		headers      []string
		want         int
	}{
		"a logout by another site": {
			known, "POST", "/auth/logout", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403,
		},
		"a logout by another port": {
			known, "POST", "/auth/logout", []string{"Origin", "http://localhost:5173", "Sec-Fetch-Site", "same-site"}, 403,
		},
		"a logout by a link elsewhere asks": {
			known, "GET", "/auth/logout", append(page, fetched("cross-site", "navigate", "document")...), 200,
		},
		"a logout by a picture asks": {
			known, "GET", "/auth/logout", append(page, fetched("same-origin", "no-cors", "image")...), 200,
		},
		"a stranger's logout":     {stranger, "POST", "/auth/logout", nil, 303},
		"a stranger is not asked": {stranger, "GET", "/auth/logout", page, 303},
		"a framed login":          {stranger, "GET", "/auth/login", append(page, "Sec-Fetch-Dest", "iframe"), 403},
		"a stranger's page":       {stranger, "GET", "/profile", page, 303},
		"a stranger's client":     {stranger, "GET", "/profile", []string{"Accept", "application/json"}, 401},
		"a stranger's picture":    {stranger, "GET", "/auth/picture", nil, 401},
		"a guessed one-time link": {stranger, "GET", "/auth/enter?once=guessed", page, 403},
		"another site's events":   {known, "GET", "/auth/events", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another site's picture":  {known, "GET", "/auth/picture", fetched("cross-site", "no-cors", "image"), 403},
		"another port's fetch":    {known, "GET", "/protected", fetched("same-site", "no-cors", "empty"), 403},
		"another host":            {known, "GET", "/protected", []string{"Host", "evil.example"}, 421},
		"nowhere":                 {known, "GET", "/nowhere", page, 404},
		"nowhere under auth":      {known, "GET", "/auth/nowhere", page, 404},
		"a wrong method":          {known, "DELETE", "/profile", nil, 404},
		"known":                   {known, "GET", "/protected", nil, 200},
	} {
		got, body, header := ask(t, c.client, c.method, s.base+c.path, nil, c.headers...)
		if got != c.want || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, not %d: %s", name, got, c.want, body)
		}
	}
	if _, err := s.session.Info(t.Context()); err != nil {
		t.Errorf("one of them ended the session: %v", err)
	}
}

// A page behind the guard costs no request to the provider and no read of the keystore.
func TestGuardReadsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	tokens, reads := s.tenant.Requests("token"), s.store.reads.Load()
	for range 20 {
		if status, _, _ := ask(t, client, http.MethodGet, s.base+"/protected", nil); status != 200 {
			t.Fatalf("got %d", status)
		}
	}
	if got := s.tenant.Requests("token"); got != tokens {
		t.Errorf("%d token requests", got-tokens)
	}
	if got := s.store.reads.Load(); got != reads {
		t.Errorf("%d reads of the keystore", got-reads)
	}
}
