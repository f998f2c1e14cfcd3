package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/proxy"
	"github.com/loopkey/loopkey/provider"
)

const secret = "what-the-proxy-printed"

// A wallet has one token at a time, and counts how often a server refused it.
type wallet struct {
	mu      sync.Mutex
	number  int // of the token
	refused int
	empty   error                  // why there is no token
	needs   []provider.Requirement // that tokens were asked for with
	weak    error                  // why there is no token for one of them
}

func (w *wallet) Token(_ context.Context, a credential.Ask) (credential.Token, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !a.Need.IsZero() {
		w.needs = append(w.needs, a.Need)
		return credential.Token{Secret: provider.NewSecret("stronger")}, w.weak
	}
	return credential.Token{Secret: provider.NewSecret(fmt.Sprintf("token-%d", w.number))}, w.empty
}

func (w *wallet) Refused(_ context.Context, _ credential.Ask, refused provider.Secret) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused++
	if refused.Reveal() == fmt.Sprintf("token-%d", w.number) {
		w.number++
	}
	return nil
}

// renewals returns how often a token was refused.
func (w *wallet) renewals() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

// A front is a proxy with the server behind it.
type front struct {
	*wallet
	address string
	told    []error
}

// start starts a server and a proxy to it.
func start(t *testing.T, behind http.HandlerFunc) *front {
	t.Helper()
	server := httptest.NewServer(behind)
	t.Cleanup(server.Close)
	to, err := hosts.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{wallet: &wallet{}}
	own := httptest.NewServer(proxy.New(proxy.Config{
		To: to, Tokens: f.wallet, Secret: provider.NewSecret(secret), Explain: func(err error) string { return err.Error() },
		Tell: func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.told = append(f.told, err)
		},
	}))
	t.Cleanup(own.Close)
	f.address = own.Listener.Addr().String()
	return f
}

// send sends a request as it is written, and returns the response and its body.
func (f *front) send(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, request) }() // a server may reply before it has read it
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// known returns the request of a caller that shows the secret.
func known(line string, fields ...string) string {
	first := []string{line + " HTTP/1.1", "Host: localhost", "Authorization: Bearer " + secret}
	return strings.Join(append(first, fields...), "\r\n") + "\r\n\r\n"
}

// What a caller sends reaches the server byte for byte, but for what is not the server's business. Its cookies stay
// there.
func TestWhatGoesThrough(t *testing.T) {
	t.Parallel()
	came := make(chan *http.Request, 8)
	f := start(t, func(w http.ResponseWriter, r *http.Request) {
		came <- r
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "theirs"})
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.Copy(w, r.Body)
	})
	for target, want := range map[string]string{
		"/a%2Fb/../c;d?x=%20&y": "/a%2Fb/../c;d?x=%20&y", "/": "/", "/%2F%2Fevil.example/": "/%2F%2Fevil.example/",
		"//x/y": "//x/y", "/a?": "/a?",
	} {
		resp, body := f.send(t, known("POST "+target, "Cookie: a=b", "X-Mine: 1", "Content-Length: 3")+"abc")
		if resp.StatusCode != http.StatusTeapot || body != "abc" || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %q %v", target, resp.StatusCode, body, resp.Header)
			continue
		}
		if got := <-came; got.RequestURI != want || got.Header.Get("Authorization") != "Bearer token-0" ||
			got.Header.Get("Cookie") != "" || got.Header.Get("X-Mine") != "1" {
			t.Errorf("%s came as %s with %v", target, got.RequestURI, got.Header)
		}
	}
}

// Where the server asks for another authentication, the token of a step-up goes there, with the whole request. Without
// one the server's own response goes to the caller, and the person is told.
func TestStepUp(t *testing.T) {
	t.Parallel()
	f := start(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer stronger" {
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="60"`)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(body)
	})
	resp, body := f.send(t, known("POST /", "Content-Length: 3")+"abc")
	if resp.StatusCode != http.StatusOK || body != "abc" || f.renewals() != 0 || len(f.told) != 0 {
		t.Errorf("%d %q, %d renewals, told %v", resp.StatusCode, body, f.renewals(), f.told)
	}
	if want := (provider.Requirement{ACR: "mfa", MaxAge: time.Minute}); len(f.needs) != 1 || f.needs[0] != want {
		t.Errorf("asked for %+v", f.needs)
	}
	f.weak = errors.New("nobody is at a terminal")
	resp, _ = f.send(t, known("GET /"))
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "acr_values") ||
		len(f.told) != 1 || f.renewals() != 0 {
		t.Errorf("%d %v, %d renewals, told %v", resp.StatusCode, resp.Header, f.renewals(), f.told)
	}
}

// A program that shows the secret is served. Any other, and every page of a browser, gets nothing of the server's.
func TestWhoIsServed(t *testing.T) {
	t.Parallel()
	f := start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "of the server") })
	plain := func(line string, fields ...string) string {
		return strings.Join(append([]string{line + " HTTP/1.1", "Host: localhost"}, fields...), "\r\n") + "\r\n\r\n"
	}
	basic := "Authorization: Basic " + "eDp3aGF0LXRoZS1wcm94eS1wcmludGVk" // x:secret
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"bearer":                  {known("GET /"), http.StatusOK},
		"basic":                   {plain("GET /", basic), http.StatusOK},
		"no secret":               {plain("GET /"), http.StatusUnauthorized},
		"another secret":          {plain("GET /", "Authorization: Bearer guessed"), http.StatusUnauthorized},
		"another scheme":          {plain("GET /", "Authorization: Token "+secret), http.StatusUnauthorized},
		"two fields":              {known("GET /", basic), http.StatusUnauthorized},
		"the token itself":        {plain("GET /", "Authorization: Bearer token-0"), http.StatusUnauthorized},
		"a page":                  {known("GET /", "Origin: http://evil.example"), http.StatusForbidden},
		"a page of our own":       {known("GET /", "Sec-Fetch-Site: same-origin"), http.StatusForbidden},
		"an address in a browser": {known("GET /", "Sec-Fetch-Site: none"), http.StatusForbidden},
		"CONNECT":                 {known("CONNECT evil.example:443"), http.StatusBadRequest},
		"a whole URL":             {known("GET http://evil.example/"), http.StatusBadRequest},
		"a star":                  {known("GET *"), http.StatusBadRequest},
		"a path like a host":      {known("GET //evil.example:x/%zz"), http.StatusBadRequest},
	} {
		resp, body := f.send(t, c.request)
		if resp.StatusCode != c.status || (body == "of the server") != (c.status == http.StatusOK) {
			t.Errorf("%s: %d %q", name, resp.StatusCode, body)
		}
	}
	f.mu.Lock()
	f.empty = errors.New("nobody is logged in")
	f.mu.Unlock()
	if resp, body := f.send(t, known("GET /")); resp.StatusCode != http.StatusBadGateway ||
		!strings.Contains(body, "nobody is logged in") {
		t.Errorf("without a token: %d %q", resp.StatusCode, body)
	}
}

// A refused token is renewed, and the same request sent once more where its body is small, however much of it the
// server has read.
func TestRefusedToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  string
		read  int64 // what the server reads before it refuses
		again bool
	}{
		"no body": {"", 0, true}, "read to the end": {"abc", 3, true}, "not read": {"abc", 0, true},
		"read in part": {strings.Repeat("x", 1<<20), 10, true}, "too large": {strings.Repeat("x", 1<<20+1), 1 << 21, false},
	} {
		var mu sync.Mutex
		var taken []string
		f := start(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer token-0" {
				_, _ = io.CopyN(io.Discard, r.Body, c.read)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, string(body))
		})
		request := known("POST /", fmt.Sprintf("Content-Length: %d", len(c.body))) + c.body
		resp, _ := f.send(t, request)
		if c.again != (resp.StatusCode == http.StatusOK) || !c.again && resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
		mu.Lock()
		if c.again && (len(taken) != 1 || taken[0] != c.body) || !c.again && len(taken) != 0 {
			t.Errorf("%s: the server took %d requests, of the wrong body", name, len(taken))
		}
		mu.Unlock()
		if resp, _ := f.send(t, request); resp.StatusCode != http.StatusOK || f.renewals() != 1 {
			t.Errorf("%s, then: %d, after %d renewals", name, resp.StatusCode, f.renewals())
		}
	}
}

// A server that refuses every token costs one renewal, and its own words reach the caller.
func TestRefusedInVain(t *testing.T) {
	t.Parallel()
	f := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
		http.Error(w, "not for you", http.StatusUnauthorized)
	})
	for range 5 {
		resp, body := f.send(t, known("GET /"))
		if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "not for you") ||
			!strings.Contains(resp.Header.Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	}
	if n := f.renewals(); n != 1 {
		t.Errorf("%d renewals", n)
	}
}
