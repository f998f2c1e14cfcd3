package clients_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/clients"
)

// asking is one question for each protocol that gives an access token, as its tool asks it.
func asking() map[string]struct{ args, stdin string } {
	return map[string]struct{ args, stdin string }{
		"token":     {"token", ""},
		"git":       {"credential git get", "protocol=https\nhost=git.acme.example\n\n"},
		"docker":    {"credential docker get", "git.acme.example"},
		"go":        {"credential go https://git.acme.example/mod", "HTTP/1.1 404 Not Found\r\n\r\n"},
		"bazel":     {"credential bazel get", `{"uri":"https://git.acme.example/cas"}`},
		"terraform": {"credential terraform get git.acme.example", ""},
		"cargo": {
			"credential cargo", `{"v":1,"kind":"get","operation":"read","registry":{"index-url":` +
				`"sparse+https://git.acme.example/index/","name":"acme","headers":[]},"args":[]}` + "\n",
		},
		"kubernetes": {"credential kubernetes --access-token", ""},
	}
}

// A hundred processes of all protocols find an expired token: one renewal, and each has the new token.
func TestMixedProtocols(t *testing.T) {
	t.Parallel()
	h := clients.LoggedIn(t, "[[profile.default.hosts]]\nhost = \"git.acme.example\"")
	h.Expire()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	replies := map[string]string{}
	for name, ask := range asking() {
		for range 100 / len(asking()) {
			all.Go(func() {
				cmd := h.Command(ctx, strings.Fields(ask.args)...)
				cmd.Stdin = strings.NewReader(ask.stdin)
				r := h.Finish(cmd)
				if r.Code != 0 || r.Stderr != "" {
					t.Errorf("%s exits %d: %s", name, r.Code, r.Stderr)
				}
				mu.Lock()
				replies[name] = r.Stdout
				mu.Unlock()
			})
		}
	}
	all.Wait()
	if n := h.Tenant.Requests("token"); n != 1 {
		t.Errorf("%d renewals, not 1", n)
	}
	token := strings.TrimSpace(h.Must("token"))
	for name, reply := range replies {
		if !strings.Contains(reply, token) {
			t.Errorf("%s did not get the new token", name)
		}
	}
	if families := h.Tenant.ReusedFamilies(); families != 0 {
		t.Errorf("%d families were revoked for reuse", families)
	}
}
