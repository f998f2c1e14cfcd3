package tenant

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A page that makes its own name resolve to this machine (DNS rebinding) gets nothing of the tenant.
func TestForeignHost(t *testing.T) {
	t.Parallel()
	started, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	at, err := url.Parse(started.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	for host, status := range map[string]int{
		at.Host: 200, "localhost:" + at.Port(): 200, "LOCALHOST:" + at.Port(): 200, "[::1]:" + at.Port(): 200,
		"mallory.example:" + at.Port(): 421, "127.0.0.1": 421, "localhost:1": 421, "127.0.0.1.nip.io:" + at.Port(): 421,
		"localhost." + at.Host: 421,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			started.Issuer()+"/.well-known/openid-configuration", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: %d, want %d", host, res.StatusCode, status)
		}
	}
}

// Whoever asks a tenant for more and more fills no memory: what has expired goes, and where all is alive, the oldest.
func TestKeepIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	codes := map[string]*grantedCode{}
	for i := range 2 * mostKept {
		keep(codes, strconv.Itoa(i), &grantedCode{expires: now.Add(time.Hour + time.Duration(i))}, now)
	}
	if len(codes) != mostKept || codes["0"] != nil || codes[strconv.Itoa(2*mostKept-1)] == nil {
		t.Errorf("%d codes are kept", len(codes))
	}
	keep(codes, "late", &grantedCode{expires: now.Add(3 * time.Hour)}, now.Add(2*time.Hour))
	if len(codes) != 1 {
		t.Errorf("%d codes are kept when all but one have expired", len(codes))
	}
}

// A browser that does not come again is forgotten.
func TestBrowsersAreBounded(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	started, err := Start(t.Context(), Config{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	visit := func() {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, started.Issuer()+"/device", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if !strings.Contains(res.Header.Get("Set-Cookie"), cookieName) {
			t.Error("no cookie")
		}
	}
	visit()
	visit()
	ahead.Store(int64(browserLife + expiredLife + time.Second))
	visit()
	started.mu.Lock()
	defer started.mu.Unlock()
	if len(started.browsers) != 1 {
		t.Errorf("%d browsers are known", len(started.browsers))
	}
}
