package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/keystore"
)

// A world is a provider, and a house that is logged in there. Cases use it one after another.
type world struct {
	*Provider
	house *house.House
	name  string          // of the session, in the keystore
	was   keystore.Record // the session before a case
}

func newWorld(t testing.TB, env ...string) *world {
	t.Helper()
	return worldOf(t, Start(t), env...)
}

func worldOf(t testing.TB, p *Provider, env ...string) *world {
	t.Helper()
	w := &world{
		Provider: p, house: house.New(t, p.Issuer(), env...),
		name: known.Client{Profile: "default", Issuer: p.Issuer(), ClientID: house.Client}.Name(),
	}
	w.house.Must("login")
	w.was = w.stored(t)
	return w
}

// worlds holds the worlds that no case is using: few, since only a few cases run at once.
type worlds chan *world

func newWorlds(t testing.TB) worlds {
	t.Helper()
	all := make(worlds, house.Shorter(2)) // one with -short
	for range cap(all) {
		all <- newWorld(t)
	}
	return all
}

// borrow waits for a free world, with an honest provider and the session of its beginning. It is free again when the
// test ends.
func (all worlds) borrow(t *testing.T) *world {
	t.Helper()
	w := <-all
	t.Cleanup(func() {
		w.Confess()
		all <- w
	})
	w.restore(t)
	w.Reset()
	return w
}

func (w *world) stored(t testing.TB) keystore.Record {
	t.Helper()
	record, err := w.house.Store.Load(context.Background(), w.name)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) {
		t.Fatal(err)
	}
	return record
}

// restore stores the session that the world began with.
func (w *world) restore(t testing.TB) {
	t.Helper()
	if err := w.house.Store.Save(context.Background(), w.name, w.was); err != nil {
		t.Fatal(err)
	}
}

// forget deletes the session.
func (w *world) forget(t testing.TB) {
	t.Helper()
	if err := w.house.Store.Delete(context.Background(), w.name); err != nil {
		t.Fatal(err)
	}
}

// unharmed checks that the session is the same as before, to the byte.
func (w *world) unharmed(t testing.TB) {
	t.Helper()
	if now := w.stored(t); !bytes.Equal(now.Head, w.was.Head) || !bytes.Equal(now.Body, w.was.Body) {
		t.Error("the session is not as it was before")
	}
}

// unharmedButRotated is unharmed, except that the refresh token may be another.
func (w *world) unharmedButRotated(t testing.TB) {
	t.Helper()
	if now := w.stored(t); !bytes.Equal(now.Head, w.was.Head) ||
		!reflect.DeepEqual(withoutRefreshToken(t, now.Body), withoutRefreshToken(t, w.was.Body)) {
		t.Error("the session is not as it was before")
	}
}

func withoutRefreshToken(t testing.TB, body []byte) (rest map[string]any) {
	t.Helper()
	if err := json.Unmarshal(body, &rest); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"refresh_token", "refresh_expiry", "unproven"} {
		delete(rest, name)
	}
	return rest
}

// A machine is the world with a home folder of its own, whose caches no earlier case has filled.
type machine struct {
	*world
	env []string
}

func (w *world) machine(t testing.TB) *machine {
	t.Helper()
	home := t.TempDir()
	return &machine{w, slices.Concat(w.house.Env, []string{"HOME=" + home, "USERPROFILE=" + home, "LOCALAPPDATA=" + home})}
}

func (m *machine) run(t testing.TB, args ...string) house.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := m.house.Command(ctx, args...)
	cmd.Env = m.env
	r := m.house.Finish(cmd)
	m.discreet(t, r)
	return r
}

// discreet checks that stderr holds no secret.
func (m *machine) discreet(t testing.TB, r house.Result) {
	t.Helper()
	for _, secret := range m.Secrets() {
		if strings.Contains(r.Stderr, secret) {
			t.Errorf("stderr tells a secret: %s", r.Stderr)
		}
	}
}

// A trial is a lie of the provider, and the result that it must have.
type trial struct {
	lies  Lies
	more  func(w *world) // what Lies can't express
	args  []string       // of the command; nil: login
	code  int            // 0: refused with exit 4
	words string         // what the last line says
	// How many requests must come, by endpoint. Endpoints that are not named are not counted.
	requests map[string]int
	after    func(t *testing.T, w *world)
}

// refuse runs trials that must fail. The session must stay as it was, except for a refresh token that a renewal
// replaced, and the next honest renewal on the same machine must work, so that no lie is in a cache.
func (all worlds) refuse(t *testing.T, trials map[string]trial) {
	t.Helper()
	for name, c := range house.Some(trials) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			m := w.machine(t)
			w.Lie(c.lies)
			if c.more != nil {
				c.more(w)
			}
			if c.args == nil {
				c.args = []string{"login"}
			}
			if c.code == 0 {
				c.code = 4
			}
			house.Refused(t, m.run(t, c.args...), c.code, c.words)
			w.count(t, c.requests)
			if c.after != nil {
				c.after(t, w)
			}
			if c.args[0] == "token" {
				w.unharmedButRotated(t)
			} else {
				w.unharmed(t)
			}
			w.Confess()
			if r := m.run(t, "token", "--force-refresh"); r.Code != 0 || r.Stdout == "" {
				t.Errorf("the session is of no more use: exit %d: %s", r.Code, r.Stderr)
			}
		})
	}
}

// accept runs logins that must succeed although the provider is unusual. Nobody is logged in before.
func (all worlds) accept(t *testing.T, trials map[string]trial) {
	t.Helper()
	for name, c := range house.Some(trials) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			m := w.machine(t)
			w.forget(t)
			w.Lie(c.lies)
			if c.more != nil {
				c.more(w)
			}
			if c.args == nil {
				c.args = []string{"login"}
			}
			if r := m.run(t, c.args...); r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "Logged in as") ||
				!strings.Contains(r.Stderr, c.words) {
				t.Fatalf("exit %d: %s", r.Code, r.Stderr)
			}
			w.count(t, c.requests)
			if c.after != nil {
				c.after(t, w)
			}
			if r := m.run(t, "token"); r.Code != 0 || !slices.Contains(w.Secrets(), strings.TrimSpace(r.Stdout)) {
				t.Errorf("exit %d, and %q is not what the provider gave: %s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
}

func (w *world) count(t testing.TB, want map[string]int) {
	t.Helper()
	for endpoint, n := range want {
		if got := w.Requests(endpoint); got != n {
			t.Errorf("%s was asked %d times, not %d", endpoint, got, n)
		}
	}
}

// set and without are the simplest lies: they set and delete a member.
func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func without(name string) func(map[string]any) {
	return func(m map[string]any) { delete(m, name) }
}

// at sets a member to a moment in the past, or with a negative duration in the future.
func at(name string, before time.Duration) func(map[string]any) {
	return func(m map[string]any) { m[name] = ago(before) }
}

func ago(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
