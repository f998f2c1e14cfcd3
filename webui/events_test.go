package webui_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/test/part"
	"github.com/loopkey/loopkey/webui"
)

// An openPage is a browser's end of a stream of events.
type openPage struct {
	conn  net.Conn
	lines *bufio.Reader
}

// openPage opens a stream as a browser does, and reads as far as its first line.
func (s *scene) openPage(t *testing.T) openPage {
	t.Helper()
	u, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = fmt.Fprintf(conn, "GET /auth/events HTTP/1.1\r\nHost: %s\r\nSec-Fetch-Site: same-origin\r\n\r\n", u.Host)
	p := openPage{conn, bufio.NewReaderSize(conn, 64)}
	if first := p.read(t, "retry: 1000\n"); !strings.HasPrefix(first, "HTTP/1.1 200 OK\r\n") ||
		!strings.Contains(first, "\r\nContent-Type: text/event-stream\r\n") ||
		!strings.Contains(first, "\r\nCache-Control: no-store\r\n") {
		t.Fatalf("the stream begins with %q", first)
	}
	return p
}

// read returns the stream as far as a line.
func (p openPage) read(t *testing.T, line string) string {
	t.Helper()
	all := ""
	for !strings.HasSuffix(all, line) {
		next, err := p.lines.ReadString('\n')
		if all += next; err != nil {
			t.Fatalf("%q, %v", all, err)
		}
	}
	return all
}

// The page that was opened last is told of changes, however many streams are open.
func TestManyListen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	webui.LimitStreams(s.server, 64)
	var pages []openPage
	for range 65 {
		pages = append(pages, s.openPage(t))
	}
	if rest, err := io.ReadAll(pages[0].lines); err != nil || strings.Contains(string(rest), "event:") {
		t.Errorf("the oldest ends with %q, %v", rest, err)
	}
	s.login(t, "/")
	for _, i := range []int{1, 64} {
		pages[i].read(t, "event: change\n")
	}
}

// A thousand pages are open, and each is told of changes. What the server keeps for one is small.
//
//nolint:paralleltest // it measures the memory of the whole process
func TestThousandPages(t *testing.T) {
	const many, each = 1000, 16 << 10
	if localhost.MostStreams() < many {
		part.Missing(t, "this process may not open so many files")
	}
	s := newScene(t)
	s.openPage(t)
	before := memory()
	var pages []openPage
	for range many {
		pages = append(pages, s.openPage(t))
	}
	if one := int64(memory()-before) / many; one > each {
		t.Errorf("an open page takes %d bytes, of %d", one, each)
	}
	s.login(t, "/")
	for _, page := range pages {
		page.read(t, "event: change\n")
	}
}

// memory returns what the process uses for its heap and its stacks.
func memory() uint64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// A page that is closed is forgotten at once, and so is one whose browser sends what no browser sends.
func TestPageCloses(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	closed, talks := s.openPage(t), s.openPage(t)
	_ = closed.conn.Close()
	_, _ = io.WriteString(talks.conn, "GET / HTTP/1.1\r\n\r\n")
	if rest, err := io.ReadAll(talks.lines); strings.Contains(string(rest), "HTTP") {
		t.Errorf("it got %q, %v", rest, err)
	}
	webui.AwaitStreams(s.server, 0)
}

// Where a server's connections can't be taken over, or nothing runs that would end a stream, it is a response as any.
func TestStreamOfAnotherServer(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	server := httptest.NewServer(s.server.Handler())
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/auth/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = strings.TrimPrefix(s.base, "http://")
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "retry: 1000\n" || resp.ContentLength != -1 ||
		resp.Close {
		t.Errorf("it begins with %q, %v", line, err)
	}
}
