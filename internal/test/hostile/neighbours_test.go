package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
)

// routes are all routes of the local server, and some paths that are none.
var routes = []string{
	"/", "/auth/", "/profile", "/protected", "/pages/", "/pages/a",
	"/auth/login", "/auth/callback?code=x&state=y", "/auth/result", "/auth/enter?once=x",
	"/auth/logout", "/auth/logout?once=x", "/auth/ended", "/auth/backchannel-logout", "/auth/events",
	"/auth/picture", "/auth/renew", "/auth/checks", "/auth/assets/style.css",
	"/auth/nowhere", "/nowhere", "/favicon.ico", "/.well-known/x", "/auth/../profile", "//profile", "/%2e%2e/x",
}

// rawRequest returns the text of an HTTP/1.1 request. Nothing in it is checked or escaped.
func rawRequest(method, target, host string, headers ...string) string {
	lines := []string{method + " " + target + " HTTP/1.1", "Host: " + host}
	return strings.Join(append(append(lines, headers...), "Connection: close"), "\r\n") + "\r\n\r\n"
}

// send sends the text of a request and returns the response.
func send(t testing.TB, base, text string) (*http.Response, string) {
	t.Helper()
	conn := dial(t, base)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return &http.Response{StatusCode: 0, Header: http.Header{}}, "" // the server hung up, which refuses the request too
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		return r, "" // an endless body
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	return r, string(body)
}

func dial(t testing.TB, base string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 2 * time.Minute}).DialContext(
		t.Context(), "tcp", strings.TrimPrefix(base, "http://"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// open starts a local server that a neighbour can reach: that of a login that waits, or loopkey serve with a logged-in
// browser, whose cookie it returns.
func open(t *testing.T, p *Provider, what string) (h *house.House, cookie, authorization string) {
	t.Helper()
	h = house.New(t, p.Issuer())
	switch what {
	case "login":
		authorization = h.Start("login", "--no-browser").Line(t, p.Issuer())
	case "serve":
		h.Must("login")
		b := newBrowser(t)
		if status, body := b.get(t, h.Serve("--pages", t.TempDir())); status != 200 || !strings.Contains(body, "Ada") {
			t.Fatalf("the page responds %d", status)
		}
		target, err := url.Parse(h.Base)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range b.client.Jar.Cookies(target) {
			cookie += c.Name + "=" + c.Value + "; "
		}
	}
	return h, cookie, authorization
}

// intact checks that a neighbour has changed nothing: the waiting login still succeeds, or user and browser are still
// logged in.
func intact(t *testing.T, h *house.House, cookie, authorization string) {
	t.Helper()
	if authorization != "" {
		if _, body := newBrowser(t).get(t, authorization); !strings.Contains(body, "You are logged in as Ada") {
			t.Errorf("the login ends with %s", body)
		}
		return
	}
	protected := rawRequest("GET", "/protected", strings.TrimPrefix(h.Base, "http://"), "Cookie: "+cookie)
	if r, body := send(t, h.Base, protected); r.StatusCode != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the page responds %d: %s", r.StatusCode, body)
	}
	h.Must("token", "--force-refresh")
}

// DNS rebinding: a page whose host name was made to resolve to this machine gets nothing from any route, even where the
// browser sends our cookie.
func TestRebinding(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"login", "serve"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h, cookie, authorization := open(t, Start(t), what)
			port := h.Base[strings.LastIndex(h.Base, ":"):]
			for _, host := range []string{
				"mallory.example.com", "mallory.example.com" + port, "localhost.mallory.example.com" + port,
				"localhost" + port + ".mallory.example.com", "localhost." + port,
				"127.0.0.1.nip.io" + port, "localhost", "localhost:1", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]" + port,
				"0.0.0.0" + port, "127.1" + port, "2130706433" + port,
				"mallory@localhost" + port, "localhost" + port + "@mallory.example.com", "", "localhost" + port + "\tx",
			} {
				for _, route := range routes {
					for _, target := range []string{route, "http://" + host + route} {
						if host == "" && target != route {
							continue
						}
						r, body := send(t, h.Base, rawRequest("GET", target, host, "Cookie: "+cookie))
						told := strings.Contains(body, "Ada") || strings.Contains(body, "ada@")
						if told || !turnedDown(r.StatusCode) || len(r.Cookies()) > 0 {
							t.Errorf("%q of %q responds %d: %s", target, host, r.StatusCode, body)
						}
					}
				}
				r, _ := send(t, h.Base, rawRequest("POST", "/auth/logout", host, "Cookie: "+cookie, "Content-Length: 0"))
				if !turnedDown(r.StatusCode) {
					t.Errorf("a logout by %q responds %d", host, r.StatusCode)
				}
			}
			if r, _ := send(t, h.Base, "GET /profile HTTP/1.0\r\n\r\n"); r.StatusCode == 0 || !turnedDown(r.StatusCode) {
				t.Errorf("HTTP/1.0 without a host: %d", r.StatusCode)
			}
			intact(t, h, cookie, authorization)
		})
	}
}

// turnedDown reports whether a server that is asked for by a foreign name responded as it should: with nothing (0), Bad
// Request or Misdirected Request.
func turnedDown(status int) bool { return status == 0 || status == 400 || status == 421 }

// A page of another site, or of another port, can make the browser send requests with our cookie. They change nothing,
// and the page can't read the responses.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"login", "serve"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h, cookie, authorization := open(t, Start(t), what)
			host := strings.TrimPrefix(h.Base, "http://")
			for _, from := range house.Few([]string{
				"Origin: https://mallory.example.com\r\n" +
					"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty",
				"Origin: http://localhost:5173\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty",
				"Origin: null\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image",
				"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
				"Origin: https://mallory.example.com", // an old browser
				"Origin: http://" + host + ".mallory.example.com",
			}) {
				for _, route := range routes {
					for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
						r, body := send(t, h.Base, rawRequest(method, route, host, from, "Cookie: "+cookie,
							"Access-Control-Request-Method: POST", "Content-Length: 0"))
						checkCrossSite(t, fmt.Sprintf("%s %s from %q", method, route, from), r, body)
						told := strings.Contains(body, "Ada")
						if method != "GET" && method != "HEAD" && (r.StatusCode == 200 || r.StatusCode == 303 || told) {
							t.Errorf("%s %s from %q responds %d", method, route, from, r.StatusCode)
						}
					}
				}
			}
			intact(t, h, cookie, authorization)
		})
	}
}

// checkCrossSite checks that only our own pages can read a response, and that no page can frame it.
func checkCrossSite(t *testing.T, request string, r *http.Response, body string) {
	t.Helper()
	h := r.Header
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: the response has %s", request, name)
		}
	}
	policies := h.Get("Cross-Origin-Resource-Policy") == "same-origin" && h.Get("X-Content-Type-Options") == "nosniff"
	if r.StatusCode != 0 && r.StatusCode != 400 && !policies {
		t.Errorf("%s responds %d with %v", request, r.StatusCode, h)
	}
	isPage := strings.HasPrefix(h.Get("Content-Type"), "text/html") && r.StatusCode/100 != 3
	if (isPage || strings.Contains(body, "Ada")) &&
		!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%s can be framed: %d %v", request, r.StatusCode, h)
	}
}

// Forged callbacks by the thousand, silent connections and endless requests come while a login waits. The real callback
// gets through, and nothing else does.
func TestFloods(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h, _, authorization := open(t, p, "login")
	at, err := url.Parse(authorization)
	if err != nil {
		t.Fatal(err)
	}
	state := at.Query().Get("state")
	host := strings.TrimPrefix(h.Base, "http://")
	slow := []string{
		"", "GET /auth/callback?", "GET / HTTP/1.1\r\nHost: " + host + "\r\n",
		"POST /auth/x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 9\r\n\r\n",
		"GET /auth/callback?code=x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 9\r\n\r\n", // and no body
		// and no reading of the answers
		strings.Repeat("GET /nowhere HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 4000),
	}
	for i := range house.Shorter(600) { // slow ones, that stay
		conn := dial(t, h.Base)
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // what the server takes is enough
		_, _ = io.WriteString(conn, slow[i%len(slow)])
	}
	var flooding sync.WaitGroup
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	for worker := range 8 {
		flooding.Go(func() {
			for i := range house.Shorter(500) {
				query := []string{
					"code=x&state=" + strings.Repeat("A", 43), "state=&error=access_denied", "error=access_denied",
					"code=x&state=" + state[:42] + "~",
					"state=" + state[1:] + "&error=access_denied", "code=x&code=y&state=" + state[:20], strings.Repeat("a=b&", 500),
					"code=x&state=" + state + "%00",
				}[(i+worker)%8]
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.Base+"/auth/callback?"+query, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := client.Do(request)
				if err != nil {
					continue // the server hung up, which refuses the request too
				}
				if r.StatusCode < 400 {
					t.Errorf("%s responds %d", query, r.StatusCode)
				}
				_ = r.Body.Close()
			}
		})
	}
	flooding.Go(func() {
		for _, request := range []string{
			"GET /" + strings.Repeat("x", 2<<20) + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Repeat("X: y\r\n", 300_000) + "\r\n",
			"POST /auth/x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("x", 1<<20),
			"POST /auth/x HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
				strings.Repeat("1\r\nx\r\n", 100_000),
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01", strings.Repeat(
				"GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 10_000,
			),
		} {
			conn := dial(t, h.Base)
			_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
			_, _ = io.WriteString(conn, request) // it may be cut off
			_ = conn.Close()
		}
	})
	flooding.Wait()
	if got := p.Requests(Token); got != 0 {
		t.Errorf("%d codes were redeemed", got)
	}
	intact(t, h, "", authorization)
	if r := h.Run("token"); r.Code != 0 {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
}

// A one-time URL works for the first browser that opens it, and for no other.
func TestStolenOneTimeURL(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	h.Must("login")
	oneTime := h.Serve()
	host := strings.TrimPrefix(h.Base, "http://")
	path := strings.TrimPrefix(oneTime, h.Base)
	for _, early := range []string{ // what a scanner or a browser that looks ahead sends does not use it up
		"HEAD " + path + " HTTP/1.1\r\nHost: " + host,
		"POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0",
		"GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nSec-Purpose: prefetch;prerender",
		"OPTIONS " + path + " HTTP/1.1\r\nHost: " + host,
		"GET " + path + " HTTP/1.1\r\nHost: mallory.example.com", "GET " + path + "x HTTP/1.1\r\nHost: " + host,
	} {
		if r, body := send(t, h.Base, early+"\r\nConnection: close\r\n\r\n"); len(r.Cookies()) > 0 ||
			strings.Contains(body, "Ada") {
			t.Errorf("%q responds %d", early, r.StatusCode)
		}
	}
	first, thief := newBrowser(t), newBrowser(t)
	if status, body := first.get(t, oneTime); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the first: %d", status)
	}
	if status, body := thief.get(t, oneTime); status != 403 || strings.Contains(body, "Ada") ||
		len(thief.client.Jar.Cookies(&url.URL{Scheme: "http", Host: host})) != 0 {
		t.Errorf("the second: %d: %s", status, body)
	}
	if status, body := first.get(t, h.Base+"/profile"); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the first, afterwards: %d", status)
	}
}

// Anybody on this machine can begin a login at the server, and so can a page that sends the user's browser there. Such
// a login does not replace the user's session, and shows nothing of it.
func TestAnothersLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := newBrowser(t)
	if status, body := known.get(t, w.house.Serve()); status != 200 || !strings.Contains(body, "Ada") {
		t.Fatalf("the one-time URL responds %d: %s", status, body)
	}
	login := w.house.Base + "/auth/login"
	w.Lie(Lies{Claims: func(c map[string]any) { c["sub"], c["name"] = "mallory", "Mallory" }})
	neighbour := newBrowser(t)
	turnedAway := func(status int, body string) {
		t.Helper()
		if status != 403 || !strings.Contains(body, "Somebody else is logged in here") ||
			!strings.Contains(body, "loopkey logout") || strings.Contains(body, "Ada") {
			t.Errorf("another user's login responds %d: %s", status, body)
		}
		if got := w.Requests(Revoke); got != 0 {
			t.Errorf("it revoked %d tokens", got)
		}
		w.unharmed(t)
	}
	turnedAway(neighbour.get(t, login))
	if status, body := neighbour.get(t, w.house.Base+"/"); status != 200 || strings.Contains(body, "Ada") ||
		strings.Contains(body, "Mallory") {
		t.Errorf("then the neighbour sees (%d) %s", status, body)
	}
	for _, site := range []string{"cross-site", "same-site"} { // another port is the same site
		turnedAway(known.get(t, login, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"))
	}
	// An attacker begins a login without a browser, with a binding cookie that they chose and planted in the user's
	// browser.
	host := strings.TrimPrefix(w.house.Base, "http://")
	port := host[strings.LastIndex(host, ":")+1:]
	chosen := strings.Repeat("A", 52)
	r, _ := send(t, w.house.Base, rawRequest("GET", "/auth/login", host, "Cookie: loopkey_"+port+"_login="+chosen))
	_, callback, _ := get(t, r.Header.Get("Location"))
	at, err := url.Parse(w.house.Base + "/auth/")
	if err != nil {
		t.Fatal(err)
	}
	known.client.Jar.SetCookies(at, []*http.Cookie{{Name: "loopkey_" + port + "_login", Value: chosen}})
	turnedAway(
		known.get(
			t, callback.String(), "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document",
		),
	)
	if status, body := known.get(t, w.house.Base+"/profile"); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the person's browser then gets %d: %s", status, body)
	}

	// The user of the session may log in from any browser, and in a browser that is theirs as anybody.
	w.Confess()
	other := newBrowser(t)
	if status, body := other.get(t, login); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the person's other browser gets %d: %s", status, body)
	}
	w.Lie(Lies{Claims: func(c map[string]any) { c["sub"], c["name"] = "bob", "Bob" }})
	if status, body := other.get(
		t, login, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document",
	); status != 200 || !strings.Contains(body, "Bob") {
		t.Errorf("a login as another in the same browser gets %d: %s", status, body)
	}
	w.Confess()
	if r := w.house.Run("login"); r.Code != 0 || !strings.Contains(r.Stderr, "Logged in as Ada") {
		t.Errorf("a login as another from the terminal exits %d: %s", r.Code, r.Stderr)
	}
	w.house.Must("logout", "--local")
	w.Lie(Lies{Claims: func(c map[string]any) { c["sub"], c["name"] = "bob", "Bob" }})
	if status, body := newBrowser(t).get(t, login); status != 200 || !strings.Contains(body, "Bob") {
		t.Errorf("a login where nobody is gets %d: %s", status, body)
	}
}

// Of two different logins at once only one has the port, and neither gets the response to the other.
func TestRacingLogins(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	waiting := h.Start("login", "--no-browser")
	authorization := waiting.Line(t, p.Issuer())
	if r := h.Run("login", "--max-age", "60"); r.Code != 1 || !strings.Contains(r.Stderr, "asks for something else") {
		t.Errorf("a second login exits %d: %s", r.Code, r.Stderr)
	}
	// The browser comes back with the same callback many times at once.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, authorization, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	callback := strings.TrimPrefix(response.Header.Get("Location"), h.Base)
	host := strings.TrimPrefix(h.Base, "http://")
	var coming sync.WaitGroup
	for range 10 {
		coming.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
			if err != nil {
				return // it has ended
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, rawRequest("GET", callback, host))
			_, _ = io.Copy(io.Discard, conn)
		})
	}
	coming.Wait()
	if got := p.Requests(Token); got != 1 {
		t.Errorf("the code was redeemed %d times", got)
	}
	if text, err := io.ReadAll(waiting.Stderr); err != nil || !strings.Contains(string(text), "Logged in as Ada") {
		t.Fatalf("the login says %s, %v", text, err)
	}
	h.Must("token")

	// Beside a server, logins from terminals and tabs at once all succeed. Each login replaces the session, so a browser
	// that was logged in before may have to log in again.
	h.Serve()
	for range 5 {
		coming.Go(func() {
			if r := h.Run("login"); r.Code != 0 {
				t.Errorf("a login beside others exits %d: %s", r.Code, r.Stderr)
			}
		})
		coming.Go(func() {
			if status, body := newBrowser(t).get(t, h.Base+"/auth/login"); status != 200 ||
				!strings.Contains(body, "Ada") && !strings.Contains(body, `href="/auth/login"`) {
				t.Errorf("a tab's login responds %d", status)
			}
		})
	}
	coming.Wait()
	if status, body := newBrowser(t).get(t, h.Base+"/auth/login"); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("a tab's login afterwards responds %d: %s", status, body)
	}
	h.Must("token", "--force-refresh")
}
