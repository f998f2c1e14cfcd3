package mcp_test

import (
	"bufio"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/loopkey/loopkey/internal/mcp"
)

// A server may close a connection that was idle just as the next request comes over it, and nobody can know then
// whether the request was carried out. No request is lost by that, and none is sent twice.
func TestIdleConnectionsLoseNoRequest(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			seen[methodOf(string(body))]++
			mu.Unlock()
			second := r.Context().Value(http.LocalAddrContextKey).(*closing).used.Swap(true)
			if second { // it has come to an idle connection whose time is up
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+idOf(string(body))+`,"result":`+began+`}`)
		}),
	}
	go func() { _ = server.Serve(closingListener{listener}) }()
	t.Cleanup(func() { _ = server.Close() })
	h := start(t, nil, mcp.Config{URL: "http://" + listener.Addr().String() + "/mcp"})
	h.send(initialize)
	_ = h.next()
	for _, method := range []string{"tools/list", "tools/call", "prompts/get"} {
		h.send(call("1", method))
		if line := h.next(); !strings.Contains(line, `"result"`) {
			t.Errorf("%s: %s", method, line)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for method, n := range seen {
		if n > 1 {
			t.Errorf("%s came %d times", method, n)
		}
	}
}

// The host learns whether the server can have carried out a request: one that could not be sent may be sent again.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	h := start(t, nil, mcp.Config{URL: "http://" + listener.Addr().String() + "/mcp"})
	h.send(call("1", "x"))
	if line := h.next(); !strings.Contains(line, `"code":-32010`) || !strings.Contains(line, "connection refused") {
		t.Error(line)
	}
}

// A closing connection says whether a request has come over it.
type closing struct {
	net.Addr
	used atomic.Bool
}

type closingConn struct {
	net.Conn
	local *closing
}

func (c closingConn) LocalAddr() net.Addr { return c.local }

type closingListener struct{ net.Listener }

func (l closingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return closingConn{conn, &closing{Addr: conn.LocalAddr()}}, nil
}

// Over HTTP/2 a server says which requests it has not begun, so all of them share one connection.
func TestRequestsShareAConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+idOf(string(body))+`,"result":"`+r.Proto+` `+r.RemoteAddr+`"}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	bridge := exec.CommandContext(t.Context(), program)
	bridge.Env = append(os.Environ(), "BRIDGE_TO="+server.URL, "SSL_CERT_FILE="+ca)
	in, err := bridge.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := bridge.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bridge.Start(); err != nil {
		t.Fatal(err)
	}
	var first string
	lines := bufio.NewReader(out)
	for range 3 {
		_, _ = io.WriteString(in, call("1", "x")+"\n")
		line, err := lines.ReadString('\n')
		if err != nil || !strings.Contains(line, "HTTP/2.0") || first != "" && line != first {
			t.Fatalf("%q, %v after %q", line, err, first)
		}
		first = line
	}
	_ = in.Close()
	if err := bridge.Wait(); err != nil {
		t.Error(err)
	}
}
