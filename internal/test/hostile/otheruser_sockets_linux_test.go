package hostile

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// sent is what a user hears from a socket that they send a GET request to.
func (v *village) sent(user uint32, socket, target string) string {
	v.t.Helper()
	return v.hears(user, socket, rawRequest("GET", target, "localhost"))
}

// hears returns what a user hears from an address, or a socket, that they send a text to.
func (v *village) hears(user uint32, address, text string) string {
	v.t.Helper()
	cmd := v.as(context.Background(), user, "send", address)
	cmd.Stdin = strings.NewReader(text)
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

// prints starts loopkey as the person, and returns the first line of its stdout.
func (v *village) prints(args ...string) string {
	v.t.Helper()
	read, write := io.Pipe()
	v.StartCommand(func(ctx context.Context) *exec.Cmd {
		cmd := v.as(ctx, person, "loopkey", args...)
		cmd.Stdout = write
		return cmd
	})
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		v.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// A proxy passes on nothing for another user, not even with the secret at its port, and whatever the mode of its
// socket.
func TestOtherUserAtProxy(t *testing.T) {
	t.Parallel()
	p := Start(t)
	var requests atomic.Int32
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = io.WriteString(w, "the app")
	}))
	defer app.Close()
	v := newVillage(t, p.Issuer())
	v.Configure(p.Issuer(), "[[profile.default.hosts]]", `host = "`+strings.TrimPrefix(app.URL, "http://")+`"`)
	v.must("login")
	printed, err := url.Parse(v.prints("proxy", "--to", app.URL))
	if err != nil || printed.User == nil {
		t.Fatalf("it prints %v, %v", printed, err)
	}
	secret, _ := printed.User.Password()
	request := rawRequest("GET", "/x", printed.Host, "Authorization: Bearer "+secret)
	socket := filepath.Join(v.Dir, "s")
	v.prints("proxy", "--to", app.URL, "--socket", socket)
	v.opened(socket)
	for _, user := range []uint32{neighbour, root} {
		if got := v.sent(user, socket, "/x"); got != "" {
			t.Errorf("user %d hears %q at the socket", user, got)
		}
	}
	if got := v.hears(neighbour, printed.Host, request); !strings.Contains(got, " 403 ") ||
		!strings.Contains(got, "this proxy is another user's") {
		t.Errorf("another user with the secret hears %q", got)
	}
	if got := v.hears(neighbour, printed.Host, rawRequest("GET", "/x", printed.Host)); !strings.Contains(got, " 401 ") {
		t.Errorf("another user hears %q", got)
	}
	if got := requests.Load(); got != 0 {
		t.Errorf("the app got %d requests", got)
	}
	for where, got := range map[string]string{
		"port": v.hears(person, printed.Host, request), "socket": v.sent(person, socket, "/x"),
	} {
		if !strings.HasSuffix(got, "the app") {
			t.Errorf("the person hears %q at the %s", got, where)
		}
	}
}
