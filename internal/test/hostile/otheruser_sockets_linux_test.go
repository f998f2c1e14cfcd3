package hostile

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// sent is what a user hears from a socket that they send a GET request to.
func (v *village) sent(user uint32, socket, target string) string {
	v.t.Helper()
	cmd := v.as(context.Background(), user, "send", socket)
	cmd.Stdin = strings.NewReader(rawRequest("GET", target, "localhost"))
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		v.t.Fatal(err)
	}
	return out.String()
}

// opened makes a socket one that every user of the machine may connect to, as far as modes go.
func (v *village) opened(socket string) {
	v.t.Helper()
	for path, mode := range map[string]os.FileMode{filepath.Dir(socket): 0o755, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			v.t.Fatal(err)
		}
	}
}

// An agent hears only its own user, whatever the mode of its socket: not another user, and not even root. And a client
// takes no token from another user's agent.
func TestOtherUserAtAgent(t *testing.T) {
	t.Parallel()
	p := Start(t)
	v := newVillage(t, p.Issuer())
	v.must("login")
	socket := filepath.Join(v.Dir, "s")
	v.start("agent", "--socket", socket).Line(t, "Handing out tokens")
	v.opened(socket)
	if got := v.sent(person, socket, "/token"); !strings.Contains(got, `"access_token": "`) {
		t.Fatalf("the person hears %q", got)
	}
	for _, user := range []uint32{neighbour, root} {
		if got := v.sent(user, socket, "/token"); got != "" {
			t.Errorf("user %d hears %q", user, got)
		}
	}
	cmd := v.as(context.Background(), neighbour, "loopkey", "token")
	cmd.Env = append(v.Env, "HOME="+v.dir, "LOOPKEY_CONFIG=", "LOOPKEY_AGENT="+socket)
	if r := v.Finish(cmd); r != (house.Result{Stderr: r.Stderr, Code: 5}) ||
		!strings.Contains(r.Stderr, "another user answers there") {
		t.Errorf("another user's token: %+v", r)
	}
}
