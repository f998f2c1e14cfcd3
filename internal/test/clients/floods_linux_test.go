package clients_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
)

// floods are what strangers say on connections that they leave open. Nothing of it shows a secret.
func floods() map[string]string {
	return map[string]string{
		"silent":                  "",
		"half a header":           "GET /token HTTP/1.1\r\nHost: loc",
		"a body that has no end":  "POST /refused HTTP/1.1\r\nHost: @\r\nContent-Length: 9\r\n\r\nhalf",
		"a chunk that has no end": "POST /refused HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
		// The responses are never read.
		"a pipeline": strings.Repeat("GET /nowhere HTTP/1.1\r\nHost: @\r\n\r\n", 2_000),
	}
}

// flooding skips a test where tests are to be short: thousands of connections take the race detector half a minute.
func flooding(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it opens thousands of connections")
	}
}

// flood opens more connections to an address than the other side can have open files, and says the same on each. They
// are open until end is called.
func flood(t *testing.T, network, address, say string) (end func()) {
	t.Helper()
	var all []net.Conn
	for range 200 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Millisecond)) // what the server takes is enough
		_, _ = io.WriteString(conn, say)
	}
	return func() {
		for _, conn := range all {
			_ = conn.Close()
		}
	}
}

// memory returns how much memory a process has, in MiB.
func memory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var all, resident int
	if err == nil {
		_, err = fmt.Sscan(string(text), &all, &resident)
	}
	if err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize() >> 20
}

// most is more memory than a server of loopkey's needs, in MiB.
const most = 256

// Strangers' connections of any kind, and callers who read nothing, keep out no caller who shows the secret, and use
// little memory. The server hears of no stranger.
func TestProxyFloods(t *testing.T) {
	t.Parallel()
	flooding(t)
	p := startLimited(t, "ulimit -n 200")
	for range 20 { // programs of the user that read nothing of what they asked for
		_, _ = io.WriteString(p.dial(t), strings.NewReplacer("@", p.addr, "$", p.secret).Replace(with("GET /endless")))
	}
	_ = p.last()
	for name, say := range floods() {
		end := flood(t, "tcp", p.addr, strings.ReplaceAll(say, "@", p.addr))
		if r, body := p.ask(t, with("GET /x")); r.StatusCode != http.StatusOK || body != "GET /x 0" {
			t.Errorf("%s: %d %s", name, r.StatusCode, body)
		}
		end()
	}
	for _, r := range p.last() {
		if r.URL.Path != "/x" && r.URL.Path != "/endless" {
			t.Errorf("the server is asked for %s", r.URL.Path)
		}
	}
	if got := memory(t, p.running.Cmd.Process.Pid); got > most || p.server.Denied() != 0 {
		t.Errorf("%d MiB of memory, %d requests without a token", got, p.server.Denied())
	}
}

// A program that leaves many connections open, and says on them whatever it likes, keeps out no other program.
func TestAgentFloods(t *testing.T) {
	t.Parallel()
	flooding(t)
	h := house.WithTenant(t)
	h.Must("login")
	h = h.With("PATH=" + house.Programs(t) + string(os.PathListSeparator) + os.Getenv("PATH"))
	path := filepath.Join(house.ShortDir(t), "s")
	running := h.StartCommand(func(ctx context.Context) *exec.Cmd {
		return limited(ctx, h, "ulimit -n 100", "agent", "--socket", path)
	})
	running.Line(t, "Handing out tokens")
	want := h.Must("token", "-o", "json")
	for name, say := range floods() {
		end := flood(t, "unix", path, strings.ReplaceAll(say, "@", "localhost"))
		if r, body := askSocket(t, path, get("/token")); r.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %d %s", name, r.StatusCode, body)
		}
		end()
	}
	if got := memory(t, running.Cmd.Process.Pid); got > most {
		t.Errorf("%d MiB of memory", got)
	}
}
