package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/sharedstore"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
	"github.com/loopkey/loopkey/keystore"
)

// A gate holds what comes to it until the test opens it.
type gate struct {
	armed         atomic.Bool
	reads         atomic.Bool // of a keystore: it holds reads, too
	arrived, open chan struct{}
}

func newGate(t *testing.T) *gate {
	g := &gate{arrived: make(chan struct{}, 1), open: make(chan struct{})}
	t.Cleanup(g.release)
	return g
}

func (g *gate) pass() {
	if g.armed.CompareAndSwap(true, false) {
		g.arrived <- struct{}{}
		<-g.open
	}
}

func (g *gate) release() {
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

// A heldStore is a keystore in memory whose writes a gate holds, and its reads if the gate says so.
type heldStore struct {
	keystore.Store
	gate *gate
}

func (s heldStore) Save(ctx context.Context, name string, r keystore.Record) error {
	s.gate.pass()
	return s.Store.Save(ctx, name, r)
}

func (s heldStore) Head(ctx context.Context, name string) (keystore.Record, error) {
	if s.gate.reads.Load() {
		s.gate.pass()
	}
	return s.Store.Head(ctx, name)
}

// heldHouse returns a house with a gate at its keystore and one at the tenant's token endpoint.
func heldHouse(t *testing.T) (h *house.House, store, token *gate) {
	t.Helper()
	store, token = newGate(t), newGate(t)
	at, err := tenant.Start(t.Context(), tenant.Config{
		Rotate: true,
		Clients: []tenant.Client{{
			ID: house.Client, RedirectURIs: []string{"http://localhost/auth/callback"}, AnyPort: true,
		}},
		Users: []tenant.User{{Subject: "ada", Email: house.Email, Name: "Ada Lovelace", Password: house.Password}},
		Intercept: func(endpoint string, _ http.ResponseWriter, _ *http.Request) bool {
			if endpoint == "token" {
				token.pass()
			}
			return false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Close)
	h = house.New(t, at.Issuer())
	h.Tenant = at
	socket := filepath.Join(house.ShortDir(t), "held")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = sharedstore.Serve(ctx, listener, heldStore{keystore.Memory(), store})
	}()
	t.Cleanup(func() {
		store.release()
		stop()
		<-served
	})
	config := filepath.Join(h.Dir, "config.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "keystore = ") {
			lines[i] = `keystore = "` + keystores.Socket(socket) + `"`
		}
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return h, store, token
}

// What the provider has granted is stored, though Ctrl-C or the deadline comes before the keystore has it or before the
// provider's response is here.
func TestGrantedIsStored(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{"browser", "device"} {
		for _, place := range []string{"keystore", "provider"} {
			t.Run(flow+", held by the "+place, func(t *testing.T) {
				t.Parallel()
				h, store, token := heldHouse(t)
				var waiting *house.Running
				var target string
				if flow == "browser" {
					waiting = h.Start("login", "--no-browser")
					target = waiting.Line(t, h.Tenant.Issuer())
				} else {
					waiting = h.Start("login", "--device")
					waiting.Line(t, "and enter the code:")
					target = strings.TrimSuffix(h.Tenant.Issuer(), "/") + "/device?user_code=" + waiting.Line(t, "")
				}
				held := store
				if place == "provider" {
					held = token
				}
				held.armed.Store(true)
				if flow == "browser" {
					end := visitor(t, target, h.Base)
					finished := make(chan struct{})
					go func() {
						defer close(finished)
						_, _ = tenant.Person{}.Visit(context.Background(), end.URL) // what comes of it the terminal says
					}()
					t.Cleanup(func() { <-finished })
				} else if place == "keystore" {
					visitor(t, target, "")
				}
				<-held.arrived
				if flow == "device" && place == "provider" { // the poll that is held brings the tokens
					visitor(t, target, "")
				}
				if err := waiting.Cmd.Process.Signal(os.Interrupt); err != nil {
					part.Missing(t, "no such signal here: %v", err)
				}
				if place == "keystore" {
					waiting.Line(t, "The provider has granted the login; it is being stored.")
				}
				held.release()
				if code, said := exit(t, waiting); code != 0 || !strings.Contains(said, "Logged in as Ada Lovelace") {
					t.Errorf("login exits %d: %s", code, said)
				}
				h.Must("token")
			})
		}
	}
}
