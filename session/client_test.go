package session_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A hundred processes that want a token of the client itself at once make one request, and get its token.
func TestHundredClientTokens(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	var asked atomic.Int32
	tokens := make([]string, 100)
	var running sync.WaitGroup
	for i := range tokens {
		running.Go(func() {
			got, err := s.process().ClientToken(t.Context(), "k", session.Request{MinLifetime: time.Minute},
				func(context.Context) (session.AccessToken, error) {
					asked.Add(1)
					return s.clientToken("only", time.Hour), nil
				})
			if err != nil {
				t.Error(err)
			}
			tokens[i] = got.Token.Reveal()
		})
	}
	running.Wait()
	for i, token := range tokens {
		if token != "only" {
			t.Errorf("process %d got %q", i, token)
		}
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("%d requests, not 1", got)
	}
}

func (s *scene) clientToken(token string, life time.Duration) session.AccessToken {
	at := session.AccessToken{Token: provider.NewSecret(token), TokenType: "Bearer", Audience: api}
	if life > 0 {
		at.Expiry = s.cfg.Now().Add(life)
	}
	return at
}

// A token of the client itself is kept by the rules of a session's tokens, and apart from the session.
func TestClientToken(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	next := "first"
	var life time.Duration
	var fails error
	get := func(key string, r session.Request) string {
		t.Helper()
		got, err := s.process().ClientToken(t.Context(), key, r, func(context.Context) (session.AccessToken, error) {
			return s.clientToken(next, life), fails
		})
		if err != nil && !errors.Is(err, fails) {
			t.Fatal(err)
		}
		return got.Token.Reveal()
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, not %q", what, got, want)
		}
	}
	minute := session.Request{MinLifetime: time.Minute}
	life = time.Hour
	want("new", get("k", minute), "first")
	next = "second"
	want("kept", get("k", minute), "first")
	want("for another request", get("other", minute), "second")
	s.login("")
	want("after a login", get("k", minute), "first")
	s.ahead.Add(int64(time.Hour - 30*time.Second))
	fails = &provider.UnreachableError{}
	want("near its end, and offline", get("k", minute), "first")
	want("offline, and a new one is wanted", get("k", session.Request{Force: true}), "")
	fails = &provider.RefusedError{}
	want("near its end, and refused", get("k", minute), "")
	fails = nil
	want("near its end", get("k", minute), "second")
	next = "third"
	want("forced", get("k", session.Request{Force: true}), "third")

	life = 0 // the provider gives no expiry
	want("forced", get("k", session.Request{Force: true}), "third")
	next = "fourth"
	s.ahead.Add(int64(4 * time.Minute))
	want("of unknown expiry", get("k", minute), "third")
	s.ahead.Add(int64(2 * time.Minute))
	want("of unknown expiry, old", get("k", minute), "fourth")

	if _, err := s.process().End(t.Context(), session.EndOptions{Local: true}); err != nil {
		t.Fatal(err)
	}
	next = "fifth"
	want("after a logout", get("k", minute), "fifth")
}

// A token that was obtained while the session ended is not kept, and neither are those of before.
func TestClientTokenAndLogout(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	get := func(key string, obtain func()) string {
		token, err := s.process().ClientToken(t.Context(), key, session.Request{},
			func(context.Context) (session.AccessToken, error) {
				obtain()
				return s.clientToken(rand.Text(), time.Hour), nil
			})
		if err != nil {
			t.Error(err)
		}
		return token.Token.Reveal()
	}
	before := get("before", func() {})
	during := get("during", func() {
		if _, err := s.process().End(t.Context(), session.EndOptions{Local: true}); err != nil {
			t.Error(err)
		}
	})
	if get("before", func() {}) == before || get("during", func() {}) == during {
		t.Error("a token outlives the logout")
	}
	if after := get("after", func() {}); get("after", func() {}) != after {
		t.Error("a token of after the logout is not kept")
	}
}
