//go:build unix

package faults

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/keystore"
)

// A killingStore kills the process that stores a client's own token, at once after it has stored it.
type killingStore struct {
	keystore.Store
	victim atomic.Pointer[os.Process] // nil: nobody
	stored atomic.Int64
}

func (s *killingStore) Save(ctx context.Context, name string, record keystore.Record) error {
	err := s.Store.Save(ctx, name, record)
	if victim := s.victim.Load(); victim != nil && strings.HasSuffix(name, ".client") {
		s.stored.Add(1)
		_ = victim.Kill()
	}
	return err
}

// A client's own token that came during a logout is not stored, and one that was stored before is deleted: a process
// that is killed between two of its steps leaves nothing behind.
func TestClientTokenKilledBesideLogout(t *testing.T) {
	t.Parallel()
	h := house.New(t, "https://unused.example.com", "LOOPKEY_CLIENT_SECRET=hush")
	store := &killingStore{Store: h.Store}
	h.ServeStore(store)
	var logout atomic.Bool // while a token is being obtained
	started, err := tenant.Start(t.Context(), tenant.Config{
		Clients: []tenant.Client{{ID: house.Client, Secret: "hush", Scopes: []string{"read"}}},
		Intercept: func(endpoint string, _ http.ResponseWriter, _ *http.Request) bool {
			if endpoint == "token" && logout.Load() {
				h.Must("logout", "--local")
			}
			return false
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	h.Configure(started.Issuer())
	get := []string{"token", "--client-credentials", "--scope", "read"}
	left := func() bool {
		t.Helper()
		started.Reset()
		h.Must(get...)
		return started.Requests("token") == 0
	}
	for _, during := range []bool{false, true} {
		h.Must(get...)
		cmd := h.Command(t.Context(), append(get, "--force-refresh")...)
		logout.Store(during)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		store.victim.Store(cmd.Process)
		_ = cmd.Wait()
		logout.Store(false)
		if !during {
			h.Must("logout", "--local")
		}
		store.victim.Store(nil)
		if left() {
			t.Errorf("during a logout: %t: a token is left; %d were stored", during, store.stored.Load())
		}
	}
	if store.stored.Load() != 1 {
		t.Errorf("%d tokens were stored beside logouts", store.stored.Load())
	}
}
