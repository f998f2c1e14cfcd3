package localhost

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// crowded answers as a server of ours does: small pages, forms that are read, and one that is trusted.
func crowded(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/auth/form":
		_, _ = io.Copy(io.Discard, r.Body)
	case "/endless":
		for w.Header().Get("X") == "" {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	case "/trusted":
		Trust(r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	_, _ = io.WriteString(w, "hello")
}

const goodRequest = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

func hear(t *testing.T, conn net.Conn) {
	t.Helper()
	if resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil); err != nil {
		t.Error(err)
	} else if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
		t.Errorf("got %q: %v", body, err)
	}
}

// Whatever strangers leave undone, they give way to newer ones, long before any limit of time
// ends them; and who comes last is answered.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]string{
		"silent":                       "",
		"half a header":                "GET / HTTP/1.1\r\nHost: local",
		"idle after a GET":             "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a form that does not end":     "POST /auth/form HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf",
		"a body that nobody asked for": "GET /auth/callback HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf",
		"an app's body":                "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf",
		"an answer that nobody reads":  "GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, http.HandlerFunc(crowded))
			trusted := dial(t, addr, "GET /trusted HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if _, err := http.ReadResponse(bufio.NewReaderSize(trusted, 16), nil); err != nil {
				t.Fatal(err)
			}
			var strangers []net.Conn
			for range 61 {
				conn := dial(t, addr, say)
				if name == "idle after a GET" {
					hear(t, conn)
				}
				strangers = append(strangers, conn)
			}
			hear(t, dial(t, addr, goodRequest))
			closed := 0
			for _, conn := range strangers {
				_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // it is closed by now, or stays
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					closed++
				}
			}
			if closed < 61-40 { // of an answer that nobody reads there is something to read in any case
				t.Errorf("%d made room", closed)
			}
			_ = trusted.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := trusted.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the one that is trusted made room: %v", err)
			}
		})
	}
}

// pipes are connections, and their other ends.
func pipes(t *testing.T, n int) (conns, ends []net.Conn) {
	t.Helper()
	for range n {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		conns, ends = append(conns, ours), append(ends, theirs)
	}
	return conns, ends
}

// The connection that has done nothing for the longest makes room, whatever it waits for.
func TestCrowd(t *testing.T) {
	t.Parallel()
	c := &crowd{most: 3, seen: map[net.Conn]sighting{}}
	conns, ends := pipes(t, 6)
	closed := func(i int) bool {
		_ = ends[i].SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := ends[i].Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
	expect := func(when string, want ...bool) {
		t.Helper()
		for i, want := range want {
			if got := closed(i); got != want {
				t.Errorf("%s: connection %d closed: %v", when, i, got)
			}
		}
	}
	c.note(conns[0], http.StateNew)
	c.note(conns[1], http.StateNew)
	c.note(conns[2], http.StateNew)
	c.note(conns[0], http.StateActive) // it has done something, so 1 is the oldest now
	expect("full", false, false, false)
	c.note(conns[3], http.StateNew)
	expect("one more", false, true, false, false)
	c.note(conns[1], http.StateClosed)
	c.note(conns[2], http.StateActive)
	c.trust(conns[0])
	c.note(conns[4], http.StateNew)
	expect("beside one that is trusted", false, true, false, false, false)
	c.note(conns[5], http.StateNew)
	expect("the one that began a request came later", false, true, false, true, false, false)
	c.note(conns[0], http.StateIdle) // as strange as the others again
	expect("answered", false, true, true, true, false, false)
	c.closeIdle()
	expect("the end", true, true, true, true, true, true)
	if len(c.seen) != 0 {
		t.Errorf("%d are left", len(c.seen))
	}
}

// Who sends one request after another grows old like everybody else.
func TestCrowdOfPipelines(t *testing.T) {
	t.Parallel()
	c := &crowd{most: 2, seen: map[net.Conn]sighting{}}
	conns, ends := pipes(t, 3)
	c.note(conns[0], http.StateNew)
	c.note(conns[0], http.StateActive)
	c.note(conns[1], http.StateNew)
	for range 3 {
		c.note(conns[0], http.StateIdle)
		c.note(conns[0], http.StateActive)
	}
	c.note(conns[2], http.StateNew)
	for range 3 { // what was read of it before is still answered
		c.note(conns[0], http.StateIdle)
		c.note(conns[0], http.StateActive)
	}
	_ = ends[0].SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := ends[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the oldest did not make room: %v", err)
	}
	if _, there := c.seen[conns[0]]; there || len(c.seen) != 2 {
		t.Errorf("%d are there, and the one that made room: %v", len(c.seen), there)
	}
}
