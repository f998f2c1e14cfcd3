package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/test/forge"
)

// Anyone can send a logout token with a made-up key ID. While the provider takes its time to send its keys for that, a
// login begins, and one ends whose key is known.
func TestSlowKeysHoldUpNobody(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var ahead atomic.Int64
	p := f.client(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	good := forge.RS256().Token(f.claims())
	if err := verify(t.Context(), p, good, idTokenExpectation{nonce: "n"}); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(time.Minute)) // keys that were only just fetched are not fetched again
	asked, goOn := make(chan struct{}), make(chan struct{})
	f.hook("/keys", func(w http.ResponseWriter, _ *http.Request) {
		close(asked) // a second request would panic
		<-goOn
		_ = json.NewEncoder(w).Encode(forge.KeySet(forge.RS256().Public(), forge.OtherRS256().Named("new").Public()))
	})
	verifying := make(chan error, 3)
	unknown := func(name string) {
		raw := forge.OtherRS256().Named(name).Token(f.claims())
		verifying <- verify(t.Context(), p, raw, idTokenExpectation{nonce: "n"})
	}
	go unknown("garbage")
	<-asked
	if _, err := p.AuthorizationURL(t.Context(), AuthorizationRequest{RedirectURI: "http://localhost:3000/"}); err != nil {
		t.Error(err)
	}
	if err := verify(t.Context(), p, good, idTokenExpectation{nonce: "n"}); err != nil {
		t.Error(err)
	}
	// A rotated key is waited for, by one request. Who can't wait need not.
	go unknown("new")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	raw := forge.OtherRS256().Named("new").Token(f.claims())
	if err := verify(ctx, p, raw, idTokenExpectation{nonce: "n"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(goOn)
	for range 2 {
		if err := <-verifying; err != nil && !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
	}
	if err := verify(t.Context(), p, raw, idTokenExpectation{nonce: "n"}); err != nil {
		t.Errorf("the new key: %v", err)
	}
}

// A caller that gives up takes nobody along who waits for the same response.
func TestFlightOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var f flight[int]
	first, cancel := context.WithCancel(t.Context())
	began := make(chan struct{})
	do := func(ctx context.Context, fetch func() (int, error)) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return f.do(ctx, &mu, fetch)
	}
	gone := make(chan error, 1)
	go func() {
		_, err := do(first, func() (int, error) {
			close(began)
			<-first.Done()
			return 0, first.Err()
		})
		gone <- err
	}()
	<-began
	waiting := make(chan int, 1)
	go func() {
		value, err := do(t.Context(), func() (int, error) { return 7, nil })
		if err != nil {
			t.Error(err)
		}
		waiting <- value
	}()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if value := <-waiting; value != 7 {
		t.Errorf("got %d", value)
	}
}

// A time in the future, noted while the clock was wrong, keeps nobody from fetching rotated keys or discovery.
func TestCacheOfTheFuture(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "cache")
	for name, p := range map[string]*Provider{
		"another process": nil, "the same process": f.clocked(t, dir, 0),
	} {
		future := time.Now().Add(24 * time.Hour)
		if p == nil {
			p = f.clocked(t, dir, 0)
			if err := p.Warm(t.Context()); err != nil {
				t.Fatal(err)
			}
			raw, err := private.Read(p.cachePath(), bodyLimit)
			var c diskCache
			if err != nil || json.Unmarshal(raw, &c) != nil {
				t.Fatal(err)
			}
			c.Discovery.Fetched, c.Keys.Fetched, c.UnknownKey, c.UnknownRenewed = future, future, future, future
			if raw, err = json.Marshal(c); err != nil {
				t.Fatal(err)
			}
			if err := private.Replace(p.cachePath(), raw); err != nil {
				t.Fatal(err)
			}
			p = f.clocked(t, dir, 0)
		} else {
			p.keysTried = future
		}
		f.mu.Lock()
		f.keys = forge.KeySet(forge.RS256().Public())
		f.mu.Unlock()
		if err := verify(t.Context(), p, forge.RS256().Token(f.claims()), idTokenExpectation{nonce: "n"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.mu.Lock()
		p.cache().UnknownKey, p.keysTried = future, future
		p.mu.Unlock()
		f.mu.Lock()
		f.keys = forge.KeySet(forge.OtherRS256().Named("rotated").Public())
		f.mu.Unlock()
		raw := forge.OtherRS256().Named("rotated").Token(f.claims())
		if err := verify(t.Context(), p, raw, idTokenExpectation{nonce: "n"}); err != nil {
			t.Errorf("%s, rotated: %v", name, err)
		}
	}
}
