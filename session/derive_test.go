package session_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// obtainer obtains values that live for an hour, and counts them.
func obtainer(s *scene, count *atomic.Int64, name string) func(context.Context) (session.Derived, error) {
	return func(context.Context) (session.Derived, error) {
		count.Add(1)
		return session.Derived{Value: provider.NewSecret(name), Expiry: s.cfg.Now().Add(time.Hour)}, nil
	}
}

// Any number of callers obtain a value once, until it lives too short for one of them. Another key is another value.
func TestDeriveOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	var count atomic.Int64
	derive := func(key string, least time.Duration) {
		t.Helper()
		d, err := s.process().Derive(t.Context(), key, least, obtainer(s, &count, "of "+key))
		if err != nil || d.Value.Reveal() != "of "+key {
			t.Errorf("%s: %q, %v", key, d.Value.Reveal(), err)
		}
	}
	for _, key := range []string{"a", "b"} {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { derive(key, time.Minute) })
		}
		all.Wait()
	}
	derive("a", 50*time.Minute)
	if count.Load() != 2 {
		t.Errorf("obtained %d times", count.Load())
	}
	s.ahead.Store(int64(30 * time.Minute))
	derive("a", 20*time.Minute)
	derive("a", 40*time.Minute)
	derive("b", 20*time.Minute)
	if count.Load() != 3 {
		t.Errorf("obtained %d times", count.Load())
	}

	// What was obtained in the future was obtained nobody knows when.
	s.ahead.Store(int64(24 * time.Hour))
	derive("a", 0)
	s.ahead.Store(0)
	derive("a", 0)
	derive("a", 0)
	if count.Load() != 5 {
		t.Errorf("obtained %d times, with a clock that was set back", count.Load())
	}
}

// Callers that wait share a refusal, and a later caller asks again.
func TestDeriveFailed(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	var count atomic.Int64
	begun, refused := make(chan struct{}), make(chan struct{})
	obtain := func(context.Context) (session.Derived, error) { //nolint:unparam // as Derive has it
		if count.Add(1) == 1 {
			close(begun)
			<-refused
		}
		return session.Derived{Value: provider.NewSecret("no"), Expiry: s.cfg.Now().Add(time.Minute), Failed: true}, nil
	}
	derive := func() {
		d, err := s.process().Derive(t.Context(), "a", 0, obtain)
		if err != nil || !d.Failed || d.Value.Reveal() != "no" {
			t.Errorf("%q, failed %t, %v", d.Value.Reveal(), d.Failed, err)
		}
	}
	var all sync.WaitGroup
	all.Go(derive)
	<-begun
	waiting := make(chan struct{}, 20)
	s.cfg.Store = counting{s.store, waiting}
	for range 20 {
		all.Go(derive)
	}
	for range 20 { // each has looked for a value in vain, and so came before the refusal
		<-waiting
	}
	s.cfg.Store = s.store
	close(refused)
	all.Wait()
	if count.Load() != 1 {
		t.Errorf("%d requests that are refused", count.Load())
	}
	if derive(); count.Load() != 2 {
		t.Errorf("a later caller gets the old refusal")
	}
}

// Callers that wait share what the provider refuses, with all that it said, of what is derived as of a client's own
// token. A later caller asks again, and so does one that wants something else.
func TestRefusalsShared(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func(*session.Session, context.Context, string, func() error) error{
		"derived": func(s *session.Session, ctx context.Context, key string, obtain func() error) error {
			_, err := s.Derive(ctx, key, 0, func(context.Context) (session.Derived, error) {
				return session.Derived{}, obtain()
			})
			return err
		},
		"of the client": func(s *session.Session, ctx context.Context, key string, obtain func() error) error {
			_, err := s.ClientToken(ctx, key, session.Request{},
				func(context.Context) (session.AccessToken, error) { return session.AccessToken{}, obtain() })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{})
			s.login("")
			why := error(&provider.RefusedError{Code: "invalid_target", Reason: provider.ReasonTarget})
			var count atomic.Int64
			begun, refuse := make(chan struct{}), make(chan struct{})
			ask := func(key string) error {
				return get(s.process(), t.Context(), key, func() error {
					if count.Add(1) == 1 {
						close(begun)
						<-refuse
					}
					return why
				})
			}
			want := func() {
				if err := ask("a"); !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "invalid_target") ||
					provider.Diagnose(err).Reason != provider.ReasonTarget {
					t.Error(err)
				}
			}
			var all sync.WaitGroup
			all.Go(want)
			<-begun
			waiting := make(chan struct{}, 20)
			s.cfg.Store = counting{s.store, waiting}
			for range 20 {
				all.Go(want)
			}
			for range 20 { // each has looked for a value in vain, and so came before the refusal
				<-waiting
			}
			s.cfg.Store = s.store
			close(refuse)
			all.Wait()
			if count.Load() != 1 {
				t.Errorf("%d requests that are refused", count.Load())
			}
			if want(); count.Load() != 2 {
				t.Errorf("a later caller gets the old refusal")
			}
			if err := ask("b"); err == nil || count.Load() != 3 {
				t.Errorf("another request gets that refusal: %v", err)
			}
			why = provider.ErrUnreachable
			if err := ask("a"); !errors.Is(err, provider.ErrUnreachable) || count.Load() != 4 {
				t.Errorf("what says nothing about the next request: %v", err)
			}
			if _, err := s.process().End(t.Context(), session.EndOptions{Local: true}); err != nil {
				t.Error(err)
			}
			if left, _ := filepath.Glob(filepath.Join(s.cfg.StateDir, "*.refused.json")); left != nil {
				t.Errorf("left after the logout: %v", left)
			}
		})
	}
}

// A caller who waits shares no refusal of a login that ended meanwhile: it may have been another user's.
func TestRefusalOfAnotherLogin(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	loads := make(chan struct{}, 1)
	var waiting sync.WaitGroup
	_, err := s.process().Derive(t.Context(), "a", 0, func(context.Context) (session.Derived, error) {
		s.ahead.Add(int64(time.Second))
		s.login("")
		s.cfg.Store = counting{s.store, loads}
		later := s.process()
		s.cfg.Store = s.store
		waiting.Go(func() {
			d, err := later.Derive(t.Context(), "a", 0, obtainer(s, new(atomic.Int64), "x"))
			if err != nil || d.Value.Reveal() != "x" {
				t.Errorf("the caller of the new login: %q, %v", d.Value.Reveal(), err)
			}
		})
		<-loads // it came before the refusal
		return session.Derived{}, &provider.RefusedError{Code: "invalid_target", Reason: provider.ReasonTarget}
	})
	if !errors.Is(err, provider.ErrRefused) {
		t.Errorf("the caller of the old one: %v", err)
	}
	waiting.Wait()
}

// counting tells of each Load of a store.
type counting struct {
	keystore.Store
	loads chan<- struct{}
}

func (c counting) Load(ctx context.Context, name string) (keystore.Record, error) {
	record, err := c.Store.Load(ctx, name)
	select {
	case c.loads <- struct{}{}:
	default:
	}
	return record, err //nolint:wrapcheck // a test
}

// What was derived from a login ends with it, also if the login ends while it is being obtained.
func TestDerivedEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	var count atomic.Int64
	derive := func(obtain func(context.Context) (session.Derived, error)) (string, error) {
		d, err := s.process().Derive(t.Context(), "a", time.Minute, obtain)
		return d.Value.Reveal(), err
	}
	end := func() {
		t.Helper()
		if _, err := s.process().End(t.Context(), session.EndOptions{Local: true}); err != nil {
			t.Fatal(err)
		}
	}
	if value, err := derive(obtainer(s, &count, "x")); !errors.Is(err, session.ErrNotLoggedIn) || value != "" {
		t.Errorf("nobody is logged in: %q, %v", value, err)
	}
	s.login("")
	for name, next := range map[string]func(){
		"login": func() { s.login("") }, "logout": func() { end(); s.login("") },
		"take": func() {
			if _, err := s.process().Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.login("")
		},
	} {
		if value, err := derive(obtainer(s, &count, "before "+name)); err != nil || value != "before "+name {
			t.Errorf("%s: %q, %v", name, value, err)
		}
		next()
	}
	for name, c := range map[string]struct {
		meanwhile func()
		want      error
	}{
		"logout": {end, session.ErrNotLoggedIn},
		"login":  {func() { s.ahead.Add(int64(time.Second)); s.login("") }, session.ErrUnfinished},
	} {
		s.login("")
		value, err := derive(func(ctx context.Context) (session.Derived, error) {
			c.meanwhile()
			return obtainer(s, &count, "of the old login")(ctx)
		})
		if !errors.Is(err, c.want) || value != "" {
			t.Errorf("%s meanwhile: %q, %v", name, value, err)
		}
	}
	s.login("")
	if value, err := derive(obtainer(s, &count, "new")); err != nil || value != "new" {
		t.Errorf("afterwards: %q, %v", value, err)
	}
	end()
	if _, err := s.store.Load(t.Context(), s.process().Name()+".derived"); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("after the logout the record: %v", err)
	}
}

// A keystore that can't be written, or a record that can't be read, costs another request and nothing else.
func TestDeriveUnkept(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	var count atomic.Int64
	for range 2 {
		s.cfg.Store = failing{s.store, &keystore.UnavailableError{Why: "it is full", Reason: keystore.ReasonFull}}
		d, err := s.process().Derive(t.Context(), "a", time.Minute, obtainer(s, &count, "x"))
		if err != nil || d.Value.Reveal() != "x" {
			t.Errorf("%q, %v", d.Value.Reveal(), err)
		}
	}
	s.cfg.Store = s.store
	for _, body := range []string{"", "{", `{"v":2,"values":{"a":{"value":"y","expiry":"2100-01-01T00:00:00Z"}}}`} {
		record := keystore.Record{Head: []byte("x"), Body: []byte(body)}
		if err := s.store.Save(t.Context(), s.process().Name()+".derived", record); err != nil {
			t.Fatal(err)
		}
		d, err := s.process().Derive(t.Context(), "a", time.Minute, obtainer(s, &count, "x"))
		if err != nil || d.Value.Reveal() != "x" {
			t.Errorf("%q: %q, %v", body, d.Value.Reveal(), err)
		}
	}
	if count.Load() != 5 {
		t.Errorf("obtained %d times", count.Load())
	}
}
