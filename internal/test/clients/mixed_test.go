package clients_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
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
	late := map[string]bool{} // a tool that waits for no longer than its own limit asks again
	for name, ask := range asking() {
		for range 100 / len(asking()) {
			all.Go(func() {
				cmd := h.Command(ctx, strings.Fields(ask.args)...)
				cmd.Stdin = strings.NewReader(ask.stdin)
				r := h.Finish(cmd)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case strings.Contains(r.Stderr, credential.ErrLate.Error()):
					late[name] = true
				case r.Code != 0 || r.Stderr != "":
					t.Errorf("%s exits %d: %s", name, r.Code, r.Stderr)
				default:
					replies[name] = r.Stdout
				}
			})
		}
	}
	all.Wait()
	for name := range late {
		cmd := h.Command(ctx, strings.Fields(asking()[name].args)...)
		cmd.Stdin = strings.NewReader(asking()[name].stdin)
		replies[name] = h.Finish(cmd).Stdout
	}
	if n := h.Tenant.Requests("token"); n != 1 {
		t.Errorf("%d renewals, not 1", n)
	}
	token := strings.TrimSpace(h.Must("token"))
	for name := range asking() {
		if reply := replies[name]; !strings.Contains(reply, token) {
			t.Errorf("%s did not get the new token", name)
		}
	}
	if families := h.Tenant.ReusedFamilies(); families != 0 {
		t.Errorf("%d families were revoked for reuse", families)
	}
}
