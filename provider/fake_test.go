package provider

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

const fakeClient = "the client"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A fake is a provider that sends whatever a test wants, and counts requests by path.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	metadata map[string]any
	keys     any // the key set, as JSON
	handle   map[string]http.HandlerFunc
	asked    map[string]int
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{handle: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	f.metadata = map[string]any{
		"issuer": f.URL, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token",
		"jwks_uri": f.URL + "/keys", "userinfo_endpoint": f.URL + "/userinfo",
		"id_token_signing_alg_values_supported": []string{"RS256"},
	}
	f.keys = forge.KeySet(forge.RS256().Public())
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path]++
	handle, metadata, keys := f.handle[r.URL.Path], maps.Clone(f.metadata), f.keys
	f.mu.Unlock()
	w.Header().Set("Cache-Control", "public, max-age=15") // Auth0's own
	switch {
	case handle != nil:
		handle(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(metadata)
	case r.URL.Path == "/keys":
		_ = json.NewEncoder(w).Encode(keys)
	default:
		http.NotFound(w, r)
	}
}

// on makes a path respond with a status and a body: a string as it is, any other value as JSON.
func (f *fake) on(path string, status int, body any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handle[path] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if text, ok := body.(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(body)
	}
}

func (f *fake) set(name string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.metadata[name] = value
}

// hook makes a path respond by a handler of the test.
func (f *fake) hook(path string, handle http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handle[path] = handle
}

// requests returns the number of requests to a path since the last count.
func (f *fake) requests(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func (f *fake) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = map[string]int{}
}

// count compares the requests since the last count, and starts a new one.
func (f *fake) count(t testing.TB, what string, want map[string]int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := f.asked; !maps.Equal(got, want) {
		t.Errorf("%s: requests %v, want %v", what, got, want)
	}
	f.asked = map[string]int{}
}

// client returns what a new process has: a Provider with an empty memory.
func (f *fake) client(t testing.TB, change ...func(*Config)) *Provider {
	t.Helper()
	cfg := Config{Issuer: f.URL, ClientID: fakeClient}
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fake) claims(change ...func(map[string]any)) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": f.URL, "aud": fakeClient, "sub": "ada", "iat": now, "exp": now + 3600, "nonce": "n"}
	for _, one := range change {
		one(c)
	}
	return c
}

// tokens returns a good token response with an opaque access token.
func (f *fake) tokens(change ...func(map[string]any)) map[string]any {
	a := map[string]any{
		"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "second",
		"id_token": forge.RS256().Token(f.claims()),
	}
	for _, one := range change {
		one(a)
	}
	return a
}

// bare returns a public key that says neither what it is for nor by which algorithm it signs.
func bare(k forge.Key) map[string]any {
	jwk := k.Public()
	delete(jwk, "alg")
	delete(jwk, "use")
	return jwk
}

// published returns a public key with other members than its own.
func published(k forge.Key, members map[string]any) map[string]any {
	jwk := k.Public()
	maps.Copy(jwk, members)
	return jwk
}

// verify fetches discovery and verifies an ID token.
func verify(ctx context.Context, p *Provider, raw string, want idTokenExpectation) error {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return err
	}
	_, _, err = p.verifyIDToken(ctx, m, raw, want)
	return err
}

// clocked returns what a new process has, with a cache directory and a clock that is off.
func (f *fake) clocked(t testing.TB, dir string, offset time.Duration) *Provider {
	t.Helper()
	return f.client(t, func(c *Config) { c.CacheDir, c.Now = dir, func() time.Time { return time.Now().Add(offset) } })
}

// renewed returns a good response to a refresh that is made at an offset from now.
func (f *fake) renewed(offset time.Duration) map[string]any {
	now := time.Now().Add(offset).Unix()
	return f.tokens(func(a map[string]any) {
		a["id_token"] = forge.RS256().Token(f.claims(func(c map[string]any) { c["iat"], c["exp"] = now, now+3600 }))
	})
}

// unusedAddress returns an address where connections are refused: the own end of a connection, whose port nobody else
// is given while it lives.
func unusedAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }
