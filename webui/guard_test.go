package webui_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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

// The code of the package's doc is the Example's, which compiles and runs.
func TestDocIsTheExample(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("server.go")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ = bytes.Cut(doc, []byte("\npackage webui"))
	lines := 0
	for line := range strings.Lines(string(doc)) {
		code, ok := strings.CutPrefix(strings.TrimSpace(line), "//\t")
		if !ok || code == "…" {
			continue
		}
		if lines++; !strings.Contains(string(example), "\t"+code+"\n") {
			t.Errorf("the Example has no line %q", code)
		}
	}
	if lines < 4 {
		t.Errorf("the doc has %d lines of code", lines)
	}
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
	stranger := &http.Client{CheckRedirect: known.CheckRedirect}
	for name, c := range map[string]struct {
		client  *http.Client
		method  string
		headers http.Header
		want    int
	}{
		"known":                      {known, "GET", nil, 200},
		"known, by POST":             {known, "POST", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200},
		"a stranger's browser":       {stranger, "GET", http.Header{"Accept": {"text/html"}}, 303},
		"a stranger's client":        {stranger, "GET", nil, 401},
		"another host":               {known, "GET", http.Header{"Host": {"evil.example"}}, 421},
		"another port":               {known, "GET", http.Header{"Host": {"localhost:1"}}, 421},
		"a form of another site":     {known, "POST", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, 403},
		"a form of another port":     {known, "POST", http.Header{"Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, 403},
		"a form, an old browser":     {known, "POST", http.Header{"Origin": {"http://localhost:5173"}}, 403},
		"our own page":               {known, "GET", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Origin": {"null"}}, 200},
		"typed":                      {known, "GET", http.Header{"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, 200},
		"a link elsewhere":           {known, "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}, 200},
		"our origin, an old browser": {known, "GET", http.Header{"Origin": {s.base}}, 200},
		"fetch from another port":    {known, "GET", http.Header{"Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"empty"}}, 403},
		"picture elsewhere":          {known, "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, 403},
		"frame on another port":      {known, "GET", http.Header{"Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}}, 403},
		"socket of another port":     {known, "GET", http.Header{"Origin": {"http://localhost:1"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, 403},
		"socket of nowhere":          {known, "GET", http.Header{"Origin": {"null"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, 403},
		"the same host, other port":  {known, "GET", http.Header{"Origin": {"http://127.0.0.1:1"}}, 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.base+"/app/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range c.headers {
			req.Header[name] = values
		}
		req.Host = c.headers.Get("Host")
		resp, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.want || (c.want == 200) != (string(body) == "hello ada") {
			t.Errorf("%s: %d, not %d: %s", name, resp.StatusCode, c.want, body)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
			t.Errorf("%s: %v", name, resp.Header)
		}
	}
}

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
