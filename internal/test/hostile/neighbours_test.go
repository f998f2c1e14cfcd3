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

// routes are all that the local server has, and some that it has not.
var routes = []string{
	"/", "/profile", "/protected", "/pages/", "/pages/a", "/auth/login", "/auth/callback?code=x&state=y", "/auth/result", "/auth/enter?once=x",
	"/auth/logout", "/auth/logout?once=x", "/auth/ended", "/auth/backchannel-logout", "/auth/events", "/auth/picture", "/auth/assets/style.css",
	"/auth/nowhere", "/nowhere", "/favicon.ico", "/.well-known/x", "/auth/../profile", "//profile", "/%2e%2e/x",
}

// send sends a request as it is written here and returns the answer.
func send(t testing.TB, base, text string) (*http.Response, string) {
	t.Helper()
	conn := dial(t, base)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return &http.Response{StatusCode: 0, Header: http.Header{}}, "" // hung up on: as good as a refusal
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		return r, "" // its end would never come
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	return r, string(body)
}

func dial(t testing.TB, base string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// open is what a person's neighbours can reach: a login that waits, or a server with
// somebody logged in, whose cookie the neighbour's page makes the browser send.
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
			t.Fatalf("the page answers %d", status)
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

// intact checks that the neighbour has changed nothing: the login goes on to its good
// end, or the session and the browser's are still there.
func intact(t *testing.T, h *house.House, cookie, authorization string) {
	t.Helper()
	if authorization != "" {
		if _, body := newBrowser(t).get(t, authorization); !strings.Contains(body, "You are logged in as Ada") {
			t.Errorf("the login ends with %s", body)
		}
	} else if r, body := send(t, h.Base, "GET /protected HTTP/1.1\r\nHost: "+strings.TrimPrefix(h.Base, "http://")+"\r\nCookie: "+cookie+"\r\nConnection: close\r\n\r\n"); r.StatusCode != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the page answers %d: %s", r.StatusCode, body)
	}
	if authorization == "" {
		h.Must("token", "--force-refresh")
	}
}

// A page whose name was made to resolve to this machine is answered nothing, on any
// route, by any method, even where the browser sends our cookie along.
func TestRebinding(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"login", "serve"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h, cookie, authorization := open(t, Start(t), what)
			port := h.Base[strings.LastIndex(h.Base, ":"):]
			for _, host := range []string{
				"mallory.example.com", "mallory.example.com" + port, "localhost.mallory.example.com" + port, "localhost" + port + ".mallory.example.com", "localhost." + port,
				"127.0.0.1.nip.io" + port, "localhost", "localhost:1", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]" + port, "0.0.0.0" + port, "127.1" + port, "2130706433" + port,
				"mallory@localhost" + port, "localhost" + port + "@mallory.example.com", "", "localhost" + port + "\tx",
			} {
				for _, route := range routes {
					for _, target := range []string{route, "http://" + host + route} {
						if host == "" && target != route {
							continue
						}
						r, body := send(t, h.Base, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookie+"\r\nConnection: close\r\n\r\n")
						if told := strings.Contains(body, "Ada") || strings.Contains(body, "ada@"); told || r.StatusCode != 0 && r.StatusCode != 421 && r.StatusCode != 400 || len(r.Cookies()) > 0 {
							t.Errorf("%q of %q answers %d: %s", target, host, r.StatusCode, body)
						}
					}
				}
				r, _ := send(t, h.Base, "POST /auth/logout HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+cookie+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				if r.StatusCode != 0 && r.StatusCode != 421 && r.StatusCode != 400 {
					t.Errorf("a logout by %q answers %d", host, r.StatusCode)
				}
			}
			if r, _ := send(t, h.Base, "GET /profile HTTP/1.0\r\n\r\n"); r.StatusCode != 421 && r.StatusCode != 400 {
				t.Errorf("HTTP/1.0 without a host: %d", r.StatusCode)
			}
			intact(t, h, cookie, authorization)
		})
	}
}

// A page of another site, or of another port, makes the browser send what it likes, with
// our cookie: nothing is done, and nothing is told to it.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"login", "serve"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h, cookie, authorization := open(t, Start(t), what)
			host := strings.TrimPrefix(h.Base, "http://")
			for _, from := range []string{
				"Origin: https://mallory.example.com\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty",
				"Origin: http://localhost:5173\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty",
				"Origin: null\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image",
				"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
				"Origin: https://mallory.example.com", // an old browser
				"Origin: http://" + host + ".mallory.example.com",
			} {
				for _, route := range routes {
					for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
						r, body := send(t, h.Base, fmt.Sprintf(
							"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\nCookie: %s\r\nAccess-Control-Request-Method: POST\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, route, host, from, cookie))
						for name := range r.Header {
							if strings.HasPrefix(name, "Access-Control-") {
								t.Errorf("%s %s is answered with %s", method, route, name)
							}
						}
						// What is answered at all can be read by our own pages alone, and framed by none.
						if r.StatusCode != 0 && r.StatusCode != 400 && (r.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" || r.Header.Get("X-Content-Type-Options") != "nosniff") {
							t.Errorf("%s %s answers %d with %v", method, route, r.StatusCode, r.Header)
						}
						if (strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") && r.StatusCode/100 != 3 || strings.Contains(body, "Ada")) && !strings.Contains(r.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
							t.Errorf("%s %s can be framed: %d %v", method, route, r.StatusCode, r.Header)
						}
						if method != "GET" && method != "HEAD" && (r.StatusCode == 200 || r.StatusCode == 303 || strings.Contains(body, "Ada")) {
							t.Errorf("%s %s from %q answers %d", method, route, from, r.StatusCode)
						}
					}
				}
			}
			intact(t, h, cookie, authorization)
		})
	}
}

// Forged callbacks by the thousand, connections that say nothing and requests without
// end, while a login waits: the real callback gets through, and none before it does.
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
		"", "GET /auth/callback?", "GET / HTTP/1.1\r\nHost: " + host + "\r\n", "POST /auth/x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 9\r\n\r\n",
		"GET /auth/callback?code=x HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 9\r\n\r\n", // and no body
		strings.Repeat("GET /nowhere HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 4000),                 // and no reading of the answers
	}
	for i := range 600 { // slow ones, that stay
		conn := dial(t, h.Base)
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // what is not taken any more is enough
		_, _ = io.WriteString(conn, slow[i%len(slow)])
	}
	var flooding sync.WaitGroup
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	for worker := range 8 {
		flooding.Go(func() {
			for i := range 500 {
				query := []string{
					"code=x&state=" + strings.Repeat("A", 43), "state=&error=access_denied", "error=access_denied", "code=x&state=" + state[:42] + "~",
					"state=" + state[1:] + "&error=access_denied", "code=x&code=y&state=" + state[:20], strings.Repeat("a=b&", 500), "code=x&state=" + state + "%00",
				}[(i+worker)%8]
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.Base+"/auth/callback?"+query, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := client.Do(request)
				if err != nil {
					continue // hung up on, which is as good
				}
				if r.StatusCode < 400 {
					t.Errorf("%s answers %d", query, r.StatusCode)
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
			"POST /auth/x HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 100_000),
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00\x01", strings.Repeat("GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 10_000),
		} {
			conn := dial(t, h.Base)
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
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

// A one-time URL is used up by the first who comes with it, whoever that is.
func TestStolenOneTimeURL(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	h.Must("login")
	oneTime := h.Serve()
	host := strings.TrimPrefix(h.Base, "http://")
	path := strings.TrimPrefix(oneTime, h.Base)
	for _, early := range []string{ // what a scanner or a browser that looks ahead sends does not use it up
		"HEAD " + path + " HTTP/1.1\r\nHost: " + host, "POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 0",
		"GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nSec-Purpose: prefetch;prerender", "OPTIONS " + path + " HTTP/1.1\r\nHost: " + host,
		"GET " + path + " HTTP/1.1\r\nHost: mallory.example.com", "GET " + path + "x HTTP/1.1\r\nHost: " + host,
	} {
		if r, body := send(t, h.Base, early+"\r\nConnection: close\r\n\r\n"); len(r.Cookies()) > 0 || strings.Contains(body, "Ada") {
			t.Errorf("%q answers %d", early, r.StatusCode)
		}
	}
	first, thief := newBrowser(t), newBrowser(t)
	if status, body := first.get(t, oneTime); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the first: %d", status)
	}
	if status, body := thief.get(t, oneTime); status != 403 || strings.Contains(body, "Ada") || len(thief.client.Jar.Cookies(&url.URL{Scheme: "http", Host: host})) != 0 {
		t.Errorf("the second: %d: %s", status, body)
	}
	if status, body := first.get(t, h.Base+"/profile"); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the first, afterwards: %d", status)
	}
}

// Anybody on this machine can begin a login at the server, and so can a page that sends the person's browser
// there. Theirs does not push the person's session aside, and shows them nothing of it.
func TestAnothersLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := newBrowser(t)
	if status, body := known.get(t, w.house.Serve()); status != 200 || !strings.Contains(body, "Ada") {
		t.Fatalf("the one-time URL answers %d: %s", status, body)
	}
	login := w.house.Base + "/auth/login"
	w.Lie(Lies{Claims: func(c map[string]any) { c["sub"], c["name"] = "mallory", "Mallory" }})
	neighbour := newBrowser(t)
	turnedAway := func(status int, body string) {
		t.Helper()
		if status != 403 || !strings.Contains(body, "Somebody else is logged in here") || !strings.Contains(body, "loopkey logout") || strings.Contains(body, "Ada") {
			t.Errorf("another's login answers %d: %s", status, body)
		}
		if got := w.Requests(Revoke); got != 0 {
			t.Errorf("it revoked %d tokens", got)
		}
		w.unharmed(t)
	}
	turnedAway(neighbour.get(t, login))
	if status, body := neighbour.get(t, w.house.Base+"/"); status != 200 || strings.Contains(body, "Ada") || strings.Contains(body, "Mallory") {
		t.Errorf("then the neighbour sees (%d) %s", status, body)
	}
	for _, site := range []string{"cross-site", "same-site"} { // another port is the same site
		turnedAway(known.get(t, login, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"))
	}
	// Begun without a browser, by one who chooses the cookie that binds it and plants that in the person's.
	host := strings.TrimPrefix(w.house.Base, "http://")
	port := host[strings.LastIndex(host, ":")+1:]
	chosen := strings.Repeat("A", 52)
	r, _ := send(t, w.house.Base, "GET /auth/login HTTP/1.1\r\nHost: "+host+"\r\nCookie: loopkey_"+port+"_login="+chosen+"\r\nConnection: close\r\n\r\n")
	_, callback, _ := get(t, r.Header.Get("Location"))
	at, err := url.Parse(w.house.Base + "/auth/")
	if err != nil {
		t.Fatal(err)
	}
	known.client.Jar.SetCookies(at, []*http.Cookie{{Name: "loopkey_" + port + "_login", Value: chosen}})
	turnedAway(known.get(t, callback.String(), "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"))
	if status, body := known.get(t, w.house.Base+"/profile"); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the person's browser then gets %d: %s", status, body)
	}

	// Whose session it is may log in from anywhere; and in their browser, as anybody.
	w.Confess()
	other := newBrowser(t)
	if status, body := other.get(t, login); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("the person's other browser gets %d: %s", status, body)
	}
	w.Lie(Lies{Claims: func(c map[string]any) { c["sub"], c["name"] = "bob", "Bob" }})
	if status, body := other.get(t, login, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"); status != 200 || !strings.Contains(body, "Bob") {
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

// Two who log in at once: both can't have the port, and neither takes the other's answer.
func TestRacingLogins(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	waiting := h.Start("login", "--no-browser")
	authorization := waiting.Line(t, p.Issuer())
	if r := h.Run("login", "--timeout", "5s"); r.Code != 1 || !strings.Contains(r.Stderr, "is taken by") {
		t.Errorf("a second login exits %d: %s", r.Code, r.Stderr)
	}
	// The browser comes back with the same callback many times at once.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, authorization, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	callback := strings.TrimPrefix(answer.Header.Get("Location"), h.Base)
	host := strings.TrimPrefix(h.Base, "http://")
	var coming sync.WaitGroup
	for range 10 {
		coming.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
			if err != nil {
				return // it has ended
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "GET "+callback+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
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

	// With a server, terminals and tabs log in at once, and all of them get there. A login that comes after makes a
	// stranger of a browser before: then a tab is asked again.
	h.Serve()
	for range 5 {
		coming.Go(func() {
			if r := h.Run("login"); r.Code != 0 {
				t.Errorf("a login beside others exits %d: %s", r.Code, r.Stderr)
			}
		})
		coming.Go(func() {
			if status, body := newBrowser(t).get(t, h.Base+"/auth/login"); status != 200 || !strings.Contains(body, "Ada") && !strings.Contains(body, `href="/auth/login"`) {
				t.Errorf("a tab's login answers %d", status)
			}
		})
	}
	coming.Wait()
	if status, body := newBrowser(t).get(t, h.Base+"/auth/login"); status != 200 || !strings.Contains(body, "Ada") {
		t.Errorf("a tab's login afterwards answers %d: %s", status, body)
	}
	h.Must("token", "--force-refresh")
}
