package upstream

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// guarded serves an upstream for one person, over real HTTP.
func guarded(t testing.TB, cfg Config) *httptest.Server {
	t.Helper()
	if cfg.User == nil {
		cfg.User = func(*http.Request) (provider.Claims, bool) { return provider.Claims{"sub": "auth0|1"}, true }
	}
	cfg.OwnCookies = "loopkey_"
	cfg.Fail = fail
	h, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// fail replies with a failure as JSON.
func fail(w http.ResponseWriter, _ *http.Request, f Failure) {
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"title": f.Title, "why": f.Why, "reason": fmt.Sprint(f.Err), "log_in": f.LogIn, "waiting": f.Waiting,
	})
}

func claimsOf(t testing.TB, text string) provider.Claims {
	t.Helper()
	var claims provider.Claims
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func app(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "uri": r.RequestURI, "headers": r.Header})
}

type echoed struct {
	Host, URI string
	Headers   http.Header
}

func send(t testing.TB, target string, headers http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, headers)
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func sendEcho(t testing.TB, target string, headers http.Header) echoed {
	t.Helper()
	_, body := send(t, target, headers)
	var got echoed
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return got
}

func TestAppIsToldWhoItIs(t *testing.T) {
	t.Parallel()
	claims := claimsOf(t, `{"sub": "auth0|1", "email": "ada@example.com", "email_verified": true, "preferred_username": "Àda %\u0000\r\nX-Evil: 1", "groups": ["dev", "a,b", 7, "né"], "roles": ["no"]}`)
	server := guarded(t, Config{URL: app(t, echo).URL + "/base", User: func(*http.Request) (provider.Claims, bool) { return claims, true }})
	forged := http.Header{}
	for _, name := range []string{
		"X-Forwarded-User", "x-forwarded-email", "X_Forwarded_User", "X-Forwarded_Groups", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
		"X-Forwarded-Access-Token", "Forwarded", "X-Auth-Request-User", "X_AUTH_REQUEST_EMAIL", "X-Real-Ip", "Remote-User", "REMOTE_USER", "X-Remote-User", "Proxy", "Loopkey-Upstream",
	} {
		forged[name] = []string{"mallory"}
	}
	forged["Connection"] = []string{"X-Forwarded-User"}
	forged["X-Mine"] = []string{"kept"}
	forged["Authorization"] = []string{"Basic mine"}
	got := sendEcho(t, server.URL+"/a%2Fb?c=d;e&f", forged)
	if text := fmt.Sprint(got.Headers); strings.Contains(text, "mallory") {
		t.Errorf("forged headers reach the app: %s", text)
	}
	own := strings.TrimPrefix(server.URL, "http://")
	for name, want := range map[string]string{
		"X-Forwarded-User": "auth0|1", "X-Forwarded-Email": "ada@example.com", "X-Forwarded-Groups": "dev,a%2Cb,n%C3%A9",
		"X-Forwarded-Preferred-Username": "%C3%80da %25%00%0D%0AX-Evil: 1", "X-Forwarded-Host": own, "X-Forwarded-Proto": "http", "X-Forwarded-For": "127.0.0.1",
		"X-Mine": "kept", "Authorization": "Basic mine", "X-Evil": "",
	} {
		if got.Headers.Get(name) != want || len(got.Headers.Values(name)) > 1 {
			t.Errorf("%s: %q, want %q", name, got.Headers.Values(name), want)
		}
	}
	if got.Host != own || got.URI != "/base/a%2Fb?c=d;e&f" {
		t.Errorf("%s %s", got.Host, got.URI)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		claims string
		want   map[string]string
	}{
		"nobody":            {`{}`, map[string]string{}},
		"unverified email":  {`{"sub": "u", "email": "boss@example.com", "email_verified": false}`, map[string]string{"X-Forwarded-User": "u"}},
		"not said":          {`{"email": "a@example.com"}`, map[string]string{"X-Forwarded-Email": "a@example.com"}},
		"nickname":          {`{"nickname": " a "}`, map[string]string{"X-Forwarded-Preferred-Username": "%20a%20"}},
		"one group":         {`{"groups": "a b"}`, map[string]string{"X-Forwarded-Groups": "a b"}},
		"roles":             {`{"groups": [], "roles": ["x", "y"]}`, map[string]string{"X-Forwarded-Groups": "x,y"}},
		"claims of no text": {`{"sub": 7, "groups": {"a": 1}, "nickname": ["x"]}`, map[string]string{}},
	} {
		if got := identity(claimsOf(t, test.claims)); !maps.Equal(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	many := make([]any, 5000)
	for i := range many {
		many[i] = "group"
	}
	if groups := identity(provider.Claims{"groups": many})["X-Forwarded-Groups"]; len(groups) > maxGroups || !strings.HasSuffix(groups, ",group") {
		t.Errorf("%d bytes of groups, the last of them cut", len(groups))
	}
}

func FuzzHeaderSafe(f *testing.F) {
	f.Add("auth0|1")
	f.Add("a\r\nb\x00é%41 ")
	f.Fuzz(func(t *testing.T, value string) {
		safe := headerSafe(value)
		for i := range len(safe) {
			if safe[i] < ' ' || safe[i] > '~' {
				t.Fatalf("%q gives %q", value, safe)
			}
		}
		if back, err := url.PathUnescape(safe); err != nil || back != value {
			t.Fatalf("%q comes back as %q: %v", value, back, err)
		}
	})
}

func TestCookies(t *testing.T) {
	t.Parallel()
	server := guarded(t, Config{URL: app(t, func(w http.ResponseWriter, r *http.Request) {
		for _, cookie := range []string{"loopkey_3000=evil", " LOOPKEY_3000=evil; Path=/", "=loopkey_3000=evil", "theirs=ok; Path=/", "loopkey_3000_login=; Max-Age=0"} {
			w.Header().Add("Set-Cookie", cookie)
		}
		w.Header().Set("Clear-Site-Data", `"cookies", "storage"`)
		w.Header().Set("Loopkey-Upstream", "down")
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		echo(w, r)
	}).URL})
	headers := http.Header{"Cookie": {"a=1; loopkey_3000=secret; b=\"2; loopkey_3000_login=x", "=loopkey_3000=y;c=3", "Loopkey_9=z"}}
	res, body := send(t, server.URL+"/x", headers)
	var got echoed
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if cookies := got.Headers.Values("Cookie"); len(cookies) != 1 || cookies[0] != `a=1; b="2; c=3` {
		t.Errorf("the app got %q", cookies)
	}
	if cookies := res.Header.Values("Set-Cookie"); !slices.Equal(cookies, []string{"theirs=ok; Path=/"}) {
		t.Errorf("the app set %q", cookies)
	}
	if clears := res.Header.Values("Clear-Site-Data"); !slices.Equal(clears, []string{`"storage"`}) {
		t.Errorf("the app clears %q", clears)
	}
	if res.Header.Get(downHeader) != "" || res.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("%v", res.Header)
	}
	if got := sendEcho(t, server.URL, http.Header{"Cookie": {"loopkey_3000=secret"}}); got.Headers["Cookie"] != nil {
		t.Errorf("%q", got.Headers["Cookie"])
	}

	// The answer before the answer carries none either.
	conn := dial(t, server.URL)
	_, _ = fmt.Fprintf(conn, "GET /early HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", conn.RemoteAddr())
	all, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 103") || strings.Contains(strings.ToLower(string(all)), "loopkey_3000") && strings.Contains(string(all), "evil") {
		t.Errorf("%v\n%s", err, all)
	}
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	var failure error
	server := guarded(t, Config{URL: app(t, echo).URL, AccessToken: func(ctx context.Context) (provider.Secret, error) {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("the wait for the token has no limit")
		}
		return provider.NewSecret("fresh"), failure
	}})
	got := sendEcho(t, server.URL, http.Header{"Authorization": {"Bearer mine", "Basic mine"}})
	if auth := got.Headers.Values("Authorization"); !slices.Equal(auth, []string{"Bearer fresh"}) {
		t.Errorf("%q", auth)
	}
	for want, err := range map[int]error{401: fmt.Errorf("profile: %w", session.ErrNotLoggedIn), 503: errors.New("offline")} {
		failure = err
		if res, body := send(t, server.URL+"/x", http.Header{"Accept": {"text/html"}}); res.StatusCode != want || strings.Contains(body, `"uri"`) {
			t.Errorf("%v: %d\n%s", err, res.StatusCode, body)
		}
	}
}

func TestLetsNobodyElseIn(t *testing.T) {
	t.Parallel()
	server := guarded(t, Config{
		URL:  app(t, func(http.ResponseWriter, *http.Request) { t.Error("the app was asked") }).URL,
		User: func(*http.Request) (provider.Claims, bool) { return nil, false },
	})
	if res, _ := send(t, server.URL, nil); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	backend := app(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", strings.ReplaceAll(r.URL.Query().Get("to"), "SELF", "http://"+r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()))
		w.WriteHeader(http.StatusFound)
	})
	server := guarded(t, Config{URL: backend.URL})
	for to, want := range map[string]string{
		"SELF/a%2Fb?c=d#e": "/a%2Fb?c=d#e", "SELF": "/", "SELF//evil.example": "/evil.example", `SELF/\evil.example`: "/%5Cevil.example", "/a": "/a", "https://example.com/": "https://example.com/",
	} {
		res, _ := send(t, server.URL+"/?to="+url.QueryEscape(to), nil)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

func dial(t testing.TB, server string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A WebSocket is an upgraded connection that bytes pass through both ways (RFC 6455, section 4).
func TestWebSocket(t *testing.T) {
	t.Parallel()
	server := guarded(t, Config{
		URL: app(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("X-Forwarded-User") != "auth0|1" || r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "Bearer fresh" {
				http.Error(w, fmt.Sprint(r.Header), http.StatusBadRequest)
				return
			}
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Set-Cookie", "loopkey_3000=evil")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			line, _ := buffered.ReadString('\n')
			_, _ = io.WriteString(conn, "you said "+line)
		}).URL,
		AccessToken: func(context.Context) (provider.Secret, error) { return provider.NewSecret("fresh"), nil },
	})
	conn := dial(t, server.URL)
	_, _ = fmt.Fprintf(conn, "GET /hmr HTTP/1.1\r\nHost: %[1]s\r\nOrigin: http://%[1]s\r\nCookie: loopkey_3000=secret\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", conn.RemoteAddr())
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Set-Cookie") != "" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	_, _ = io.WriteString(conn, "hello\n")
	if line, err := reader.ReadString('\n'); err != nil || line != "you said hello\n" {
		t.Errorf("%q %v", line, err)
	}
}

// Each event arrives before the next is sent.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	server := guarded(t, Config{URL: app(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n", i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}).URL})
	conn := dial(t, server.URL)
	_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", conn.RemoteAddr())
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
			t.Fatalf("event %d: %q %v", i, lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
}

func TestDown(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	server := guarded(t, Config{URL: "http://" + address})
	res, body := send(t, server.URL+"/x", http.Header{"Accept": {"text/html"}})
	if res.StatusCode != http.StatusBadGateway || res.Header.Get(downHeader) != "down" ||
		!strings.Contains(body, "Nothing listens at http://"+address) || !strings.Contains(body, `"waiting":true`) {
		t.Errorf("%d %v\n%s", res.StatusCode, res.Header, body)
	}

	// It is back: the next request reaches it.
	if listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", address); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	back := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(echo)}}
	back.Start()
	t.Cleanup(back.Close)
	if res, _ = send(t, server.URL+"/x", nil); res.StatusCode != http.StatusOK || res.Header.Get(downHeader) != "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	backend := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	backend.Config.ErrorLog = log.New(io.Discard, "", 0)
	backend.StartTLS()
	t.Cleanup(backend.Close)
	server := guarded(t, Config{URL: backend.URL})
	if res, body := send(t, server.URL, nil); res.StatusCode != http.StatusBadGateway || !strings.Contains(body, ErrCertificate.Error()) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	token := func(context.Context) (provider.Secret, error) { return provider.Secret{}, nil }
	for name, cfg := range map[string]Config{
		"another machine":           {URL: "http://192.0.2.1:80"},
		"every address":             {URL: "http://0.0.0.0:5173"},
		"another machine, IPv6":     {URL: "http://[2001:db8::1]:80"},
		"mapped":                    {URL: "http://[::ffff:192.0.2.1]:80"},
		"a token in the clear":      {URL: "http://192.0.2.1", AllowRemote: true, AccessToken: token},
		"no such host":              {URL: "http://upstream.invalid"},
		"no URL":                    {URL: "localhost:5173"},
		"no host":                   {URL: "http://:5173"},
		"another scheme":            {URL: "file:///etc/passwd"},
		"a password":                {URL: "http://u:hunter2@localhost:5173"},
		"a password, and not a URL": {URL: "http://u:hunter2@local host:5173"},
		"a query":                   {URL: "http://localhost:5173/?a=b"},
		"ourselves":                 {URL: "http://127.0.0.1:3000", OwnPort: 3000},
		"ourselves by name":         {URL: "http://LOCALHOST.:3000/x", OwnPort: 3000},
		"ourselves, usual port":     {URL: "http://[::1]", OwnPort: 80},
	} {
		if _, err := New(t.Context(), cfg); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, target := range []string{"http://localhost:5173", "http://127.8.9.1:1/base", "https://[::1]:5173", "http://[::ffff:127.0.0.1]:1", "http://LocalHost:1"} {
		if _, err := New(t.Context(), Config{URL: target, OwnPort: 3000}); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := New(t.Context(), Config{URL: "https://192.0.2.1", AllowRemote: true, AccessToken: token}); err != nil {
		t.Errorf("a remote one, allowed: %v", err)
	}
}

// A name may lead here when loopkey starts and elsewhere later: the address is looked at again when connecting.
func TestDialsThisMachineOnly(t *testing.T) {
	t.Parallel()
	u, err := New(t.Context(), Config{URL: "http://localhost:5173"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := u.transport().DialContext(t.Context(), "tcp", "192.0.2.1:80")
	if !errors.Is(err, ErrRemote) {
		t.Errorf("%v %v", conn, err)
	}
	if why, reason := u.reason(fmt.Errorf("dial: %w", err)); !errors.Is(reason, ErrRemote) || !strings.Contains(why, "another machine") {
		t.Errorf("%s %v", why, reason)
	}
}

// Another user's server where the app should be is told nothing; of localhost's two addresses, the app's is taken.
func TestForeignListener(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	listen := func(addr string, name string) *net.TCPAddr {
		t.Helper()
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Skipf("this machine lacks a loopback: %v", err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			_, _ = io.WriteString(w, name)
		}))
		_ = server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		return listener.Addr().(*net.TCPAddr)
	}
	port := strconv.Itoa(listen("127.0.0.1:0", "four").Port)
	listen("[::1]:"+port, "six")
	held := func(hosts ...string) func(net.Conn) bool {
		return func(conn net.Conn) bool { return slices.Contains(hosts, conn.RemoteAddr().(*net.TCPAddr).IP.String()) }
	}
	for name, c := range map[string]struct {
		host    string
		foreign func(net.Conn) bool
		status  int
		says    string
	}{
		"theirs":               {"127.0.0.1", held("127.0.0.1"), 502, "is another user's"},
		"the other is theirs":  {"127.0.0.1", held("::1"), 200, "four"},
		"localhost, one":       {"localhost", held("::1"), 200, "four"},
		"localhost, the other": {"localhost", held("127.0.0.1"), 200, "six"},
		"localhost, both":      {"localhost", held("127.0.0.1", "::1"), 502, "is another user's"},
	} {
		asked.Store(0)
		server := guarded(t, Config{URL: "http://" + c.host + ":" + port, Foreign: c.foreign})
		res, body := send(t, server.URL+"/", nil)
		if res.StatusCode != c.status || !strings.Contains(body, c.says) || c.status != 200 && asked.Load() != 0 {
			t.Errorf("%s: %d %s, asked %d times", name, res.StatusCode, body, asked.Load())
		}
	}
	server := guarded(t, Config{URL: "http://127.0.0.1:" + port, AllowRemote: true, Foreign: held("127.0.0.1")})
	if res, body := send(t, server.URL+"/", nil); res.StatusCode != 200 || body != "four" {
		t.Errorf("with AllowRemote: %d %s", res.StatusCode, body)
	}
}
