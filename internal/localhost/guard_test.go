package localhost

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func send(t *testing.T, handler http.Handler, method string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
	return w
}

func TestOwnHost(t *testing.T) {
	t.Parallel()
	asked := 0
	handler := func(port int) http.Handler {
		return OwnHost(port, "acme", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	}
	for target, c := range map[string]struct{ port, want int }{
		"http://localhost:3000/":         {3000, 200},
		"http://LOCALHOST:3000/":         {3000, 200},
		"http://127.0.0.1:3000/":         {3000, 200},
		"http://[::1]:3000/":             {3000, 200},
		"http://localhost/":              {80, 200},
		"http://localhost:80/":           {80, 200},
		"http://[::1]/":                  {80, 200},
		"http://localhost:/":             {3000, 421},
		"http://localhost:3001/":         {3000, 421},
		"http://127.0.0.2:3000/":         {3000, 421},
		"http://localhost.:3000/":        {3000, 421},
		"http://evil.example:3000/":      {3000, 421},
		"http://127.0.0.1.nip.io:3000/":  {3000, 421},
		"http://localhost:3000.example/": {3000, 421},
	} {
		asked = 0
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = strings.TrimSuffix(strings.TrimPrefix(target, "http://"), "/")
		handler(c.port).ServeHTTP(w, r)
		if passed := asked == 1; w.Code != c.want || passed != (c.want == 200) {
			t.Errorf("%s gets %d from port %d; it was let through: %v", target, w.Code, c.port, passed)
		}
		for name, value := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s is %q", target, name, got)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: the policy is %q", target, policy)
		}
		if c.want == 421 && !strings.Contains(w.Body.String(), "<title>Not for this server · acme</title>") {
			t.Errorf("%s gets %s", target, w.Body)
		}
	}
}

// A browser that navigates to another of our names is led to the host of the base URL, and nowhere else.
func TestAtHost(t *testing.T) {
	t.Parallel()
	const local, address = "localhost:3000", "127.0.0.1:3000"
	page := http.Header{"Accept": {"text/html,*/*;q=0.8"}}
	with := func(name, value string) http.Header {
		h := page.Clone()
		h.Set(name, value)
		return h
	}
	for name, c := range map[string]struct {
		base, method, host, target string
		header                     http.Header
		want                       string // where it is led; "": it is let through
	}{
		"an address":          {local, "GET", address, "/profile?a=b%2F", page, local + "/profile?a=b%2F"},
		"IPv6":                {local, "GET", "[::1]:3000", "/", page, local + "/"},
		"the other way":       {address, "GET", local, "/", page, "127.0.0.1:3000/"},
		"to IPv6":             {"[::1]:3000", "GET", local, "/", page, "[::1]:3000/"},
		"a path like a host":  {local, "GET", address, "//mallory.example/x", page, local + "//mallory.example/x"},
		"a backslash":         {local, "GET", address, `/\mallory.example`, page, local + `/\mallory.example`},
		"a user":              {local, "GET", address, "/@mallory.example/", page, local + "/@mallory.example/"},
		"an absolute target":  {local, "GET", address, "http://127.0.0.1:3000/x", page, local + "/x"},
		"an opaque target":    {local, "GET", address, "http:@mallory.example", page, local + "/@mallory.example"},
		"its own host":        {local, "GET", local, "/", page, ""},
		"its own in capitals": {local, "GET", "LOCALHOST:3000", "/", page, ""},
		"port 80":             {"localhost", "GET", "localhost:80", "/", page, ""},
		"a POST":              {local, "POST", address, "/", page, ""},
		"a HEAD":              {local, "HEAD", address, "/", page, ""},
		"an API client":       {local, "GET", address, "/", http.Header{"Accept": {"*/*"}}, ""},
		"a frame":             {local, "GET", address, "/", with("Sec-Fetch-Dest", "iframe"), ""},
		"a script":            {local, "GET", address, "/", with("Sec-Fetch-Mode", "cors"), ""},
		"a prefetch":          {local, "GET", address, "/", with("Sec-Purpose", "prefetch"), ""},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(
			c.method + " " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n\r\n")))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.Header = c.header
		w := httptest.NewRecorder()
		AtHost(&url.URL{Scheme: "http", Host: c.base}, http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })).ServeHTTP(w, r)
		want, status := "", http.StatusTeapot
		if c.want != "" {
			want, status = "http://"+c.want, http.StatusTemporaryRedirect
		}
		if got := w.Header().Get("Location"); got != want || w.Code != status {
			t.Errorf("%s is led to %q with %d", name, got, w.Code)
		}
	}
}

func TestUnsecure(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-Own": {"1"}}
	Secure(h)
	if len(h) < 6 {
		t.Errorf("got %v", h)
	}
	Unsecure(h)
	if len(h) != 1 {
		t.Errorf("%v is left", h)
	}
}

func TestOnlyGET(t *testing.T) {
	t.Parallel()
	handler := OnlyGET(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	for method, want := range map[string]int{"GET": 200, "HEAD": 405, "POST": 405, "OPTIONS": 405} {
		w := send(t, handler, method)
		if w.Code != want || (want == 405) != (w.Header().Get("Allow") == http.MethodGet) {
			t.Errorf("%s gets %d, %v", method, w.Code, w.Header())
		}
	}
}

// What a page says is no markup, and its style is the one that its policy names.
func TestPage(t *testing.T) {
	t.Parallel()
	page := Page{
		Status: http.StatusForbidden, App: "<i>", Title: "<b>", Text: "<script>alert(1)</script>",
		Next: `"><img src=x>`, Links: []Link{{Text: "<b>", URL: "/"}, {Text: "Again", URL: "javascript:alert(1)"}},
	}
	w := send(t, page, http.MethodGet)
	body := w.Body.String()
	if w.Code != http.StatusForbidden || regexp.MustCompile(`<(i|b|script|img)>`).MatchString(body) ||
		strings.Contains(body, "<img") ||
		!strings.Contains(body, "&lt;script&gt;") || !strings.Contains(body, `href="/"`) {
		t.Errorf("%d %s", w.Code, body)
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	if style == nil {
		t.Fatalf("no style: %s", body)
	}
	sum := sha256.Sum256([]byte(style[1]))
	hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, hash) {
		t.Errorf("the policy %q is for another style", policy)
	}
	for name, p := range map[string]Page{
		"with a link":       {Status: 400, Title: "x", Links: []Link{{Text: "Home", URL: "/"}}},
		"with an advice":    {Status: 400, Title: "x", Next: "Do that."},
		"with nothing else": {Status: 400, Title: "x"},
	} {
		body := send(t, p, http.MethodGet).Body.String()
		if n := strings.Count(body, `class="button"`) + strings.Count(body, `class="next"`); n != 1 {
			t.Errorf("%s: %d ways on: %s", name, n, body)
		}
	}
	told := send(t, Page{Status: 200, Who: "<Ada>", Where: "<acme>", Good: true}, http.MethodGet).Body.String()
	if !strings.Contains(told, "<bdi>&lt;Ada&gt;</bdi> · <bdi>&lt;acme&gt;</bdi>") {
		t.Errorf("who and where is not told: %s", told)
	}
	plain := send(t, Page{Status: 200, Title: "Hello"}, http.MethodGet).Body.String()
	if !strings.Contains(plain, "<title>Hello</title>") {
		t.Errorf("without a program: %s", plain)
	}
}

// A port that is free on both loopbacks is bound on both.
func TestAnyPort(t *testing.T) {
	t.Parallel()
	l, err := ListenPort(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, part := range l.parts {
		if got := part.Addr().(*net.TCPAddr).Port; got != l.Port() || got == 0 {
			t.Errorf("%s is not at port %d", part.Addr(), l.Port())
		}
	}
	if len(l.parts) == 2 {
		addr := net.JoinHostPort("::1", strconv.Itoa(l.Port()))
		if _, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr); err == nil {
			t.Error("the other loopback is free")
		}
	}
}

// Who sent a request is looked up only for what could be somebody's, and each user gets what is theirs.
func TestRefuseOtherUsers(t *testing.T) {
	t.Parallel()
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	asks := func(r *http.Request) bool { return r.URL.Path == "/secret" }
	handler := RefuseOtherUsers(asks, say("refused"), say("passed"))
	from := func(p peer) context.Context {
		p.settled = true // so that there is no connection to look at
		return context.WithValue(t.Context(), callerKey{}, &caller{peer: p})
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		path string
		want string
	}{
		"another user":                    {from(peer{foreign: true}), "/secret", "refused"},
		"another user who shows nothing":  {from(peer{foreign: true}), "/", "passed"},
		"this user":                       {from(peer{own: true}), "/secret", "passed"},
		"nobody can tell":                 {from(peer{}), "/secret", "passed"},
		"on a server that is not Serve's": {t.Context(), "/secret", "passed"},
		"nothing shown, and no look": { // which would fail for lack of a connection
			context.WithValue(t.Context(), callerKey{}, (*caller)(nil)), "/", "passed",
		},
	} {
		w := httptest.NewRecorder()
		handler(w, httptest.NewRequestWithContext(c.ctx, http.MethodGet, c.path, nil))
		if got := w.Body.String(); got != c.want {
			t.Errorf("%s is %s", name, got)
		}
	}
}
