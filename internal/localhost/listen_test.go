package localhost

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listenSomewhere takes a port below those that the system gives away.
func listenSomewhere(t *testing.T, hosts ...string) (*Listener, int) {
	t.Helper()
	var err error
	for range 50 {
		port := 10000 + rand.IntN(20000)
		var l *Listener
		if l, err = listenOn(t.Context(), port, hosts...); err == nil {
			t.Cleanup(func() { _ = l.Close() })
			return l, port
		}
	}
	t.Fatal(err)
	return nil, 0
}

// A family that the machine lacks is left out; a machine without any is told so. 192.0.2.1 is nobody's (RFC 5737).
func TestLackingFamily(t *testing.T) {
	t.Parallel()
	for _, hosts := range [][]string{{"127.0.0.1", "192.0.2.1"}, {"192.0.2.1", "127.0.0.1"}} {
		if l, _ := listenSomewhere(t, hosts...); len(l.parts) != 1 {
			t.Errorf("%q: %d listeners", hosts, len(l.parts))
		}
	}
	if _, err := listenOn(t.Context(), 0, "192.0.2.1"); err == nil ||
		!strings.Contains(err.Error(), "no loopback address") {
		t.Errorf("got %v", err)
	}
}

// The error says who holds the port.
func TestHolder(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("this system does not tell")
	}
	_, port := listenSomewhere(t, "127.0.0.1")
	_, err := Listen(t.Context(), "http://localhost:"+strconv.Itoa(port))
	var taken *PortTakenError
	holder := "(process " + strconv.Itoa(os.Getpid()) + ")"
	if !errors.As(err, &taken) || taken.Port != port || !strings.HasSuffix(taken.Holder, holder) ||
		!strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Errorf("got %v", err)
	}
}

func serve(t *testing.T, handler http.Handler) (addr string) {
	t.Helper()
	l, port := listenSomewhere(t, "127.0.0.1")
	l.most = 40
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx, handler) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func dial(t *testing.T, addr, say string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, say); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestLimits(t *testing.T) {
	t.Parallel()
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, "too much", http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
	}))
	big := strings.Repeat("x", bodyLimit+1)
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"a big form": {
			"POST /auth/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + strconv.Itoa(len(big)) + "\r\n\r\n" + big, 413,
		},
		"an app's upload": {
			"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + strconv.Itoa(len(big)) + "\r\n\r\n" + big, 200,
		},
		"a big header": {
			"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + strings.Repeat("x", headerLimit+8<<10) + "\r\n\r\n", 431,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, err := http.ReadResponse(bufio.NewReader(dial(t, addr, c.request)), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != c.want {
				t.Errorf("got %d, not %d", resp.StatusCode, c.want)
			}
		})
	}
}

// A browser's spare connections don't hold up the end, and an answer under way is finished.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	l, port := listenSomewhere(t, "127.0.0.1")
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ctx, stop := context.WithCancel(t.Context())
	asked, ended := make(chan struct{}), make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-ended
			_, _ = io.WriteString(w, "hello")
		}))
	}()
	spare, half := dial(t, addr, ""), dial(t, addr, "GET")
	asking := dial(t, addr, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-asked
	stop()
	for _, conn := range []net.Conn{spare, half} {
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection that says nothing is kept: %v", err)
		}
	}
	close(ended)
	if resp, err := http.ReadResponse(bufio.NewReader(asking), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the answer under way is %v: %v", resp, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := Listen(t.Context(), "http://localhost:"+strconv.Itoa(port)); err != nil {
		t.Errorf("the port is not free: %v", err)
	}
}
