package upstream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

func TestDialsThisMachineOnly(t *testing.T) {
	t.Parallel()
	u, err := New(t.Context(), Config{URL: "http://localhost:5173"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := u.transport().DialContext(t.Context(), "tcp", "192.0.2.1:80")
	if !errors.Is(err, ErrRemote) {
		t.Errorf("%v %v", conn, err)
	}
	why, reason := u.reason(fmt.Errorf("dial: %w", err))
	if !errors.Is(reason, ErrRemote) || !strings.Contains(why, "another machine") {
		t.Errorf("%s %v", why, reason)
	}
}

func TestForeignListener(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	listen := func(addr string, name string) *net.TCPAddr {
		t.Helper()
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Skipf("this machine lacks a loopback: %v", err) // Also with LOOPKEY_TEST_REAL: the machine may have no IPv6.
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			_, _ = io.WriteString(w, name)
		}))
		_ = server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
		return listener.Addr().(*net.TCPAddr)
	}
	port := strconv.Itoa(listen("127.0.0.1:0", "four").Port)
	listen("[::1]:"+port, "six")
	held := func(hosts ...string) func(net.Conn) bool {
		return func(conn net.Conn) bool { return slices.Contains(hosts, conn.RemoteAddr().(*net.TCPAddr).IP.String()) }
	}
	for name, c := range map[string]struct {
		host    string
		foreign func(net.Conn) bool
		status  int
		says    string
	}{
		"theirs":               {"127.0.0.1", held("127.0.0.1"), 502, "is another user's"},
		"the other is theirs":  {"127.0.0.1", held("::1"), 200, "four"},
		"localhost, one":       {"localhost", held("::1"), 200, "four"},
		"localhost, the other": {"localhost", held("127.0.0.1"), 200, "six"},
		"localhost, both":      {"localhost", held("127.0.0.1", "::1"), 502, "is another user's"},
	} {
		asked.Store(0)
		server := guarded(t, Config{URL: "http://" + c.host + ":" + port, Foreign: c.foreign})
		res, body := send(t, server.URL+"/", nil)
		if res.StatusCode != c.status || !strings.Contains(body, c.says) || c.status != 200 && asked.Load() != 0 {
			t.Errorf("%s: %d %s, asked %d times", name, res.StatusCode, body, asked.Load())
		}
	}
	server := guarded(t, Config{URL: "http://127.0.0.1:" + port, AllowRemote: true, Foreign: held("127.0.0.1")})
	if res, body := send(t, server.URL+"/", nil); res.StatusCode != 200 || body != "four" {
		t.Errorf("with AllowRemote: %d %s", res.StatusCode, body)
	}
}
