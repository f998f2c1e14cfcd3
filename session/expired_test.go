package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/session"
)

// reading counts the reads of a store. Each takes its time, as those of a keychain do.
type reading struct {
	keystore.Store
	reads *atomic.Int64
}

const readTime = 20 * time.Millisecond

func (c reading) Head(ctx context.Context, name string) (keystore.Record, error) {
	c.reads.Add(1)
	time.Sleep(readTime) //nolint:forbidigo // of a bubble's time
	return c.Store.Head(ctx, name)
}

func (c reading) Load(ctx context.Context, name string) (keystore.Record, error) {
	c.reads.Add(1)
	time.Sleep(readTime) //nolint:forbidigo // of a bubble's time
	return c.Store.Load(ctx, name)
}

// expiries returns the path of the file that tells when tokens expire.
func (s *scene) expiries() string { return filepath.Join(s.cfg.StateDir, s.process().Name()+".expiry") }

// Of a hundred callers at once with an expired token one renews it. The others read the session once each.
func TestManyReadOnce(t *testing.T) {
	t.Parallel()
	// Of the login's token the expiry is known before anyone reads it.
	for name, c := range map[string]struct {
		r    session.Request
		most int64
	}{
		"the login's":    {session.Request{}, 100},
		"its audience's": {session.Request{Audience: api}, 100},
		"another scope":  {session.Request{Scope: "profile"}, 200},
	} {
		r := c.r
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{Rotate: true})
			s.login(api)
			if r.Scope != "" { // only a token that was asked for by this scope has expired
				if _, err := s.get(r); err != nil {
					t.Fatal(err)
				}
				s.requests(1)
			}
			s.ahead.Add(int64(2 * time.Hour))
			apart := s.process()
			orders, replies := make(chan []byte), make(chan []byte)
			go func() {
				for order := range orders {
					replies <- renewed(context.Background(), apart, order)
				}
			}()
			defer close(orders)
			var reads atomic.Int64
			many := func(t *testing.T) int64 {
				t.Helper()
				reads.Store(0)
				s.bubble(func(t *testing.T) {
					cfg := s.cfg
					cfg.Store = reading{s.store, &reads}
					cfg.Apart = func(_ context.Context, order []byte) ([]byte, error) {
						synctest.Wait() // until all others wait
						orders <- order
						return <-replies, nil
					}
					var asking sync.WaitGroup
					for range 100 {
						asking.Go(func() {
							if _, err := session.New(cfg).AccessToken(t.Context(), r); err != nil {
								t.Error(err)
							}
						})
					}
					asking.Wait()
				})
				return reads.Load()
			}
			if n := many(t); n > c.most {
				t.Errorf("%d reads", n)
			}
			s.requests(1)
			if n := many(t); n != 100 {
				t.Errorf("%d reads of a good token", n)
			}
			s.requests(0)
		})
	}
}

// Nobody waits because of a file about another state of the session. One that is wrong about this state costs a wait,
// and no token.
func TestWrongExpiries(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.login("")
	before, err := os.ReadFile(s.expiries())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	s.requests(1)
	now, err := os.ReadFile(s.expiries())
	if err != nil {
		t.Fatal(err)
	}
	key := string(now[:strings.LastIndexByte(string(now), ' ')+1])
	takes := func(content string) (took time.Duration) {
		t.Helper()
		if err := os.WriteFile(s.expiries(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s.bubble(func(t *testing.T) {
			began := time.Now()
			if _, err := s.process().AccessToken(t.Context(), session.Request{}); err != nil {
				t.Error(err)
			}
			took = time.Since(began)
		})
		return took
	}
	if took := takes(key + "1\n"); took > 0 {
		t.Errorf("a wait of %v for nobody", took)
	}
	if healed, err := os.ReadFile(s.expiries()); err != nil || string(healed) != string(now) {
		t.Errorf("it is still wrong: %q, %v", healed, err)
	}
	s.stuck(".lock")
	old := string(before[:strings.LastIndexByte(string(before), ' ')+1])
	for _, harmless := range []string{
		old + "1\n", "", "\n", key, key + "x\n", key + "99999999999\n", strings.Repeat("x", 1<<20),
	} {
		if took := takes(harmless); took > 0 {
			t.Errorf("%.100q: a wait of %v", harmless, took)
		}
	}
	if took := takes(key + "1\n"); took == 0 || took > 5*time.Second {
		t.Errorf("a wait of %v for a process that was stopped", took)
	}
	s.requests(0)
}

// hung is a keystore that does not answer.
type hung struct{ keystore.Store }

func (hung) Head(ctx context.Context, _ string) (keystore.Record, error) {
	<-ctx.Done()
	return keystore.Record{}, context.Cause(ctx)
}

// A keystore that does not answer is noticed within ten seconds, also by a caller that has waited for another one's
// renewal.
func TestHungAfterWait(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.login("")
	s.ahead.Add(int64(2 * time.Hour))
	s.stuck(".lock")
	s.bubble(func(t *testing.T) {
		cfg, began := s.cfg, time.Now()
		cfg.Store = hung{s.store}
		_, err := session.New(cfg).AccessToken(t.Context(), session.Request{})
		if took := time.Since(began); !errors.Is(err, keystore.ErrUnavailable) || took > 10*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}
