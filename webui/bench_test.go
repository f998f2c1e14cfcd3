package webui_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/webui"
)

// What pages cost beside the floor, which is net/http with the same bytes, and httputil.ReverseProxy for an app. Both
// are asked in turn over one connection each. "of-floor" is the requests per second, of those of the floor.
// The quickest quarter counts, so that the figure does not hang on what else the machine does.
func BenchmarkPages(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write(make([]byte, 2000))
	}))
	defer app.Close()
	target, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.SetXForwarded()
	}}
	dir := b.TempDir()
	part := "Some *text*, `code` and [a link](b.md).\n\n- one\n- two\n\n"
	text := "---\ntitle: A\n---\n# A\n\n" + strings.Repeat(part, 30)
	if err := os.WriteFile(filepath.Join(dir, "a.md"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	written := time.Now()
	plain := newScene(b, func(_ *scene, c *webui.Config) { c.Pages = dir })
	withApp := newScene(b, func(_ *scene, c *webui.Config) { c.Upstream = app.URL })
	for _, c := range []struct {
		name, path string
		scene      *scene
		floor      http.Handler // nil: of the same bytes
	}{
		{"home", "/", plain, nil},
		{"profile", "/profile", plain, nil},
		{"protected", "/protected", plain, nil},
		{"markdown", "/pages/a", plain, nil},
		{"upstream", "/x", withApp, proxy},
	} {
		b.Run(c.name, func(b *testing.B) {
			client, _ := c.scene.login(b, "/")
			_, body, header := ask(b, client, http.MethodGet, c.scene.base+c.path, nil, "Accept", "text/html")
			if c.floor == nil {
				c.floor = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", header.Get("Content-Type"))
					_, _ = io.WriteString(w, body)
				})
			}
			floor := httptest.NewServer(c.floor)
			defer floor.Close()
			ours, theirs := newTap(b, client, c.scene.base, c.path), newTap(b, client, floor.URL, c.path)
			theirs.request = strings.ReplaceAll(ours.request, ours.host, theirs.host)
			for time.Since(written) < 4*time.Second { // a file that has just changed may change again unnoticed
				ours.ask(b)
			}
			ours.took = nil
			for b.Loop() {
				ours.ask(b)
				theirs.ask(b)
			}
			b.ReportMetric(theirs.quick()/ours.quick(), "of-floor")
			b.ReportMetric(ours.quick()*1e6, "ours-µs")
		})
	}
}

// A tap asks for one page over one connection, again and again.
type tap struct {
	host, request string
	conn          net.Conn
	in            *bufio.Reader
	took          []time.Duration
}

func newTap(b *testing.B, client *http.Client, base, path string) *tap {
	b.Helper()
	u, err := url.Parse(base)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", u.Host)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	cookies := ""
	for _, c := range client.Jar.Cookies(u) {
		cookies += "; " + c.Name + "=" + c.Value
	}
	return &tap{
		host: u.Host, conn: conn, in: bufio.NewReaderSize(conn, 64<<10),
		request: fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\nCookie: %s\r\n\r\n",
			path, u.Host, strings.TrimPrefix(cookies, "; ")),
	}
}

// ask sends the request and reads the response to its end.
func (t *tap) ask(b *testing.B) {
	b.Helper()
	began := time.Now()
	if _, err := io.WriteString(t.conn, t.request); err != nil {
		b.Fatal(err)
	}
	if err := t.read(); err != nil {
		b.Fatal(err)
	}
	t.took = append(t.took, time.Since(began))
}

// read reads a response as load generators do, which look at no more headers than they need.
func (t *tap) read() error {
	status, err := t.in.ReadSlice('\n')
	if err != nil || string(status) != "HTTP/1.1 200 OK\r\n" {
		return fmt.Errorf("%q, %w", status, err)
	}
	length, chunked := 0, false
	for {
		line, err := t.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if text, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(text))); err != nil {
				return err
			}
		}
		chunked = chunked || bytes.HasPrefix(line, []byte("Transfer-Encoding: chunked"))
		if len(line) == 2 {
			break
		}
	}
	body := io.LimitReader(t.in, int64(length))
	if chunked {
		body = httputil.NewChunkedReader(t.in)
	}
	if _, err := io.Copy(io.Discard, body); err != nil || !chunked {
		return err
	}
	_, err = t.in.Discard(len("\r\n")) // there are no trailers
	return err
}

// quick returns the seconds of which a quarter of the requests took less.
func (t *tap) quick() float64 {
	slices.Sort(t.took)
	return t.took[len(t.took)/4].Seconds()
}
