package upstream

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
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
		"title": f.Title, "why": f.Why, "reason": fmt.Sprint(cmp.Or(f.Cause, f.Reason)),
		"log_in": f.LogIn, "waiting": f.Waiting,
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

// echo replies with what it was sent.

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
	for want, err := range map[int]error{
		401: fmt.Errorf("profile: %w", session.ErrNotLoggedIn), 503: errors.New("offline"),
	} {
		failure = err
		res, body := send(t, server.URL+"/x", http.Header{"Accept": {"text/html"}})
		if res.StatusCode != want || strings.Contains(body, `"uri"`) {
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
			if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("X-Forwarded-User") != "auth0|1" ||
				r.Header.Get("Cookie") != "" || r.Header.Get("Authorization") != "Bearer fresh" {
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
	_, _ = fmt.Fprintf(conn, "GET /hmr HTTP/1.1\r\nHost: %[1]s\r\nOrigin: http://%[1]s\r\nCookie: loopkey_3000=secret\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", conn.RemoteAddr())
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

// No upgrade but a WebSocket's reaches the app: after one to h2c a client could send requests that nothing here sees.
func TestNoOtherUpgrade(t *testing.T) {
	t.Parallel()
	server := guarded(t, Config{URL: app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			t.Errorf("the app is asked for an upgrade to %q by %s", r.Header.Get("Upgrade"), r.Method)
		}
		echo(w, r)
	}).URL})
	for name, c := range map[string]struct{ method, headers string }{
		"h2c":             {"GET", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"},
		"settings alone":  {"GET", "HTTP2-Settings: AAMAAABk\r\n"},
		"one of two":      {"GET", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"},
		"in two lines":    {"GET", "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n"},
		"TLS":             {"OPTIONS", "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"},
		"anything":        {"GET", "Connection: upgrade\r\nUpgrade: x\r\n"},
		"websocket, POST": {"POST", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"},
	} {
		conn := dial(t, server.URL)
		_, _ = fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: %s\r\n%s\r\n", c.method, conn.RemoteAddr(), c.headers)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got echoed
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v", name, res.StatusCode, err)
		}
		for _, header := range []string{"Upgrade", "Connection", "Http2-Settings"} {
			if got.Headers.Get(header) != "" {
				t.Errorf("%s: the app gets %s: %s", name, header, got.Headers.Get(header))
			}
		}
		_ = res.Body.Close()
	}
}

// A part of a response arrives before the next is sent, whether the response has a length or not.
func TestPartsArrive(t *testing.T) {
	t.Parallel()
	for _, length := range []string{"", "12"} {
		next := make(chan struct{})
		server := guarded(t, Config{URL: app(t, func(w http.ResponseWriter, r *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			for range 3 {
				_, _ = io.WriteString(w, "part")
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
		for range 3 {
			part := make([]byte, 4)
			if _, err := io.ReadFull(res.Body, part); err != nil || string(part) != "part" {
				t.Fatalf("with length %q: %q, %v", length, part, err)
			}
			next <- struct{}{}
		}
		_ = res.Body.Close()
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
	for _, target := range []string{
		"http://localhost:5173", "http://127.8.9.1:1/base", "https://[::1]:5173", "http://[::ffff:127.0.0.1]:1",
		"http://LocalHost:1",
	} {
		if _, err := New(t.Context(), Config{URL: target, OwnPort: 3000}); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := New(t.Context(), Config{URL: "https://192.0.2.1", AllowRemote: true, AccessToken: token}); err != nil {
		t.Errorf("a remote one, allowed: %v", err)
	}
}

// A name may lead here when loopkey starts and elsewhere later: the address is looked at again when connecting.

// Another user's server where the app should be is told nothing; of localhost's two addresses, the app's is taken.
