//go:build linux || darwin

package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A proxied is a running `loopkey proxy`, and the server that it leads to.
type proxied struct {
	*house.House
	server       *clients.Server
	addr, secret string // 127.0.0.1:PORT
	running      *house.Running

	mu   sync.Mutex
	seen []*http.Request // of the server
}

// startProxy starts a proxy to a server that checks tokens at the tenant, and replies by the path that it is asked for.
func startProxy(t *testing.T, args ...string) *proxied {
	t.Helper()
	return startLimited(t, "", args...)
}

// startLimited is startProxy after words that a shell runs first, such as ulimit -n 100.
func startLimited(t *testing.T, words string, args ...string) *proxied {
	t.Helper()
	p := &proxied{}
	h := clients.LoggedIn(t)
	p.server = clients.Serve(t, h, http.HandlerFunc(p.reply), "Bearer")
	h.Configure(h.Tenant.Issuer(), "[[profile.default.hosts]]", `host = "`+p.server.Host+`"`)
	p.House = h.With("SSL_CERT_FILE=" + p.server.CA)
	var line string
	line, p.running = startPrinting(t, p.House, words, append([]string{"proxy", "--to", p.server.URL}, args...)...)
	if filepath.IsAbs(line) {
		p.addr = line
		return p
	}
	u, err := url.Parse(line)
	if err != nil || u.User == nil || u.User.Username() != "loopkey" {
		t.Fatalf("it prints %q", line)
	}
	p.addr = u.Host
	p.secret, _ = u.User.Password()
	return p
}

// limited returns a run of loopkey after words that a shell runs first; "": none.
func limited(ctx context.Context, h *house.House, words string, args ...string) *exec.Cmd {
	cmd := h.Command(ctx, args...)
	if words != "" {
		shell := exec.CommandContext(ctx, "sh", append([]string{"-c", words + `; exec loopkey "$@"`, "loopkey"}, args...)...)
		shell.Env, shell.Dir = cmd.Env, cmd.Dir
		return shell
	}
	return cmd
}

// startPrinting starts loopkey after words that a shell runs first, and returns the first line of its stdout.
func startPrinting(t *testing.T, h *house.House, words string, args ...string) (string, *house.Running) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	running := h.StartCommand(func(ctx context.Context) *exec.Cmd {
		cmd := limited(ctx, h, words, args...)
		cmd.Stdout = write
		return cmd
	})
	_ = write.Close()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		rest, _ := io.ReadAll(running.Stderr)
		t.Fatalf("loopkey %v prints nothing: %s", args, rest)
	}
	return strings.TrimSpace(line), running
}

func (p *proxied) reply(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r)
	p.mu.Unlock()
	switch {
	case r.URL.Path == "/moved":
		http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
	case r.URL.Path == "/cookie":
		w.Header().Set("Set-Cookie", "hint=1")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Set-Cookie", "a=1")
	case r.URL.Path == "/endless":
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	case r.URL.Path == "/events": // each comes when the one before has arrived: the caller says so in the body
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
	case r.Header.Get("Upgrade") == "websocket":
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = both.Flush()
		_, _ = io.Copy(conn, both)
	default:
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %d", r.Method, r.RequestURI, len(body))
	}
}

// last returns the requests that the server accepted since it was asked last.
func (p *proxied) last() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// dial connects to the proxy.
func (p *proxied) dial(t *testing.T) net.Conn {
	t.Helper()
	network := "tcp"
	if filepath.IsAbs(p.addr) {
		network = "unix"
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), network, p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask sends the text of a request as it stands, but for @, which is the proxy's address, and $, the secret.
func (p *proxied) ask(t *testing.T, text string) (*http.Response, string) {
	t.Helper()
	conn := p.dial(t)
	if _, err := io.WriteString(conn, strings.NewReplacer("@", p.addr, "$", p.secret).Replace(text)); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	body, _ := io.ReadAll(r.Body)
	_ = r.Body.Close()
	return r, string(body)
}

// with returns the text of a request with the secret.
func with(line string, fields ...string) string {
	lines := append([]string{line + " HTTP/1.1", "Host: @", "Authorization: Bearer $", "Connection: close"}, fields...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// The target of a request arrives byte for byte, at the server of --to and at no other.
func TestProxyTargets(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	for _, target := range []string{
		"/", "/a/b?c=d", "/a%2Fb", "/a%2fb", "//a", "//mallory.example.com/x?y", "///", "/a//b", "/..;/admin", "/a/../b",
		"/./",
		"/%2e%2e/x", `/a"b<c>|d^e`, "/a?", "/?a=%zz&b;c", "/caf\xc3\xa9", "/a%00b", "/auth/login", "/a:b", "/http://x/",
		`/a\b`,
		"/@x", "/a?x=//y#z",
	} {
		target = strings.ReplaceAll(target, "@", "%40")
		r, body := p.ask(t, with("GET "+target))
		if r.StatusCode != http.StatusOK || body != "GET "+target+" 0" {
			t.Errorf("%q: %d %q", target, r.StatusCode, body)
		}
		if seen := p.last(); len(seen) != 1 || seen[0].Host != p.server.Host {
			t.Errorf("%q arrives at %v", target, seen)
		}
	}
	for _, line := range []string{
		"GET http://@/x", "GET https://mallory.example.com/x", "CONNECT mallory.example.com:443", "OPTIONS *", "GET x",
		`GET //a"b`,
	} {
		if r, body := p.ask(t, with(line)); r.StatusCode/100 != 4 || len(p.last()) != 0 {
			t.Errorf("%q: %d %q", line, r.StatusCode, body)
		}
	}
}

// Only who shows the secret gets through, under one of our own names; and no page does, not even with the secret.
func TestProxyCallers(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	if len(p.secret) < 26 { // of 32 letters each: 130 bits
		t.Errorf("the secret has %d characters", len(p.secret))
	}
	port := p.addr[strings.LastIndex(p.addr, ":"):]
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("anyone:"+p.secret))
	wrong := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.secret+":"))
	for name, c := range map[string]struct {
		fields []string
		status int
	}{
		"bearer":            {[]string{"Host: @", "Authorization: Bearer $"}, 200},
		"basic":             {[]string{"Host: @", basic}, 200},
		"localhost":         {[]string{"Host: localhost" + port, basic}, 200},
		"::1":               {[]string{"Host: [::1]" + port, basic}, 200},
		"a program's mode":  {[]string{"Host: @", basic, "Sec-Fetch-Mode: cors"}, 200}, // node's fetch says so
		"none":              {[]string{"Host: @"}, 401},
		"empty":             {[]string{"Host: @", "Authorization: Bearer "}, 401},
		"half":              {[]string{"Host: @", "Authorization: Bearer " + p.secret[:20]}, 401},
		"as the user":       {[]string{"Host: @", wrong}, 401},
		"twice":             {[]string{"Host: @", basic, basic}, 401},
		"of another scheme": {[]string{"Host: @", "Authorization: Token $"}, 401},
		"another name":      {[]string{"Host: mallory.example.com" + port, basic}, 421},
		"another port":      {[]string{"Host: localhost:1", basic}, 421},
		"no port":           {[]string{"Host: localhost", basic}, 421},
		"a page":            {[]string{"Host: @", basic, "Origin: https://mallory.example.com"}, 403},
		"a page of nowhere": {[]string{"Host: @", basic, "Origin: null"}, 403},
		"our own page":      {[]string{"Host: @", basic, "Origin: http://@"}, 403},
		"a typed address":   {[]string{"Host: @", basic, "Sec-Fetch-Site: none"}, 403},
		"a page's WebSocket": {
			[]string{"Host: @", basic, "Origin: http://x", "Connection: Upgrade", "Upgrade: websocket"}, 403,
		},
		"a page, none at all": {[]string{"Host: @", "Sec-Fetch-Site: cross-site"}, 403},
	} {
		text := "GET /x HTTP/1.1\r\n" + strings.Join(c.fields, "\r\n") + "\r\n"
		if !strings.Contains(text, "Connection:") {
			text += "Connection: close\r\n"
		}
		r, body := p.ask(t, text+"\r\n")
		if seen := p.last(); r.StatusCode != c.status || (len(seen) == 1) != (c.status == 200) {
			t.Errorf("%s: %d %s, %d requests", name, r.StatusCode, body, len(seen))
		}
		if r.Header.Get("Access-Control-Allow-Origin") != "" || strings.Contains(body, p.secret) ||
			(c.status == 401) != (r.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %v %s", name, r.Header, body)
		}
	}
}

// The server gets the token and neither cookies nor what is for the proxy; the caller gets no cookies, and a redirect
// as it is.
func TestProxyFields(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	_, _ = p.ask(t, with("POST /x", "Cookie: a=1", "Proxy-Authorization: Basic x", "Keep-Alive: 5", "X-Mine: yes", "TE: x",
		"Upgrade: h2c", "HTTP2-Settings: AAAA", "Content-Length: 0"))
	seen := p.last()
	if len(seen) != 1 || seen[0].Header.Get("X-Mine") != "yes" ||
		seen[0].Header.Get("Authorization") != "Bearer "+strings.TrimSpace(p.Must("token")) {
		t.Fatalf("the server gets %v", seen)
	}
	for _, name := range []string{"Cookie", "Proxy-Authorization", "Keep-Alive", "Te", "Upgrade", "Http2-Settings"} {
		if seen[0].Header.Get(name) != "" {
			t.Errorf("the server gets %s", name)
		}
	}
	conn := p.dial(t)
	_, _ = io.WriteString(conn, strings.NewReplacer("@", p.addr, "$", p.secret).Replace(with("GET /cookie")))
	if all, err := io.ReadAll(conn); err != nil || bytes.Contains(all, []byte("Cookie")) ||
		!bytes.Contains(all, []byte("103 Early")) || !bytes.Contains(all, []byte("200 OK")) {
		t.Errorf("the caller gets %q, %v", all, err)
	}
	if r, _ := p.ask(t, with("GET /moved")); r.StatusCode != http.StatusFound ||
		r.Header.Get("Location") != "https://elsewhere.example.com/" {
		t.Errorf("a redirect: %d %v", r.StatusCode, r.Header)
	}
}

// What is streamed passes as it comes, both ways.
func TestProxyStreams(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	conn := p.dial(t)
	hear := bufio.NewReader(conn)
	_, _ = io.WriteString(conn, strings.NewReplacer("@", p.addr, "$", p.secret).Replace(
		strings.Replace(with("GET /ws", "Upgrade: websocket"), "Connection: close", "Connection: Upgrade", 1)))
	if r, err := http.ReadResponse(hear, nil); err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", r, err)
	}
	for _, word := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(conn, word)
		if got, err := hear.ReadString('\n'); err != nil || got != word {
			t.Fatalf("%q, %v", got, err)
		}
	}
	conn = p.dial(t)
	_, _ = io.WriteString(conn, strings.NewReplacer("@", p.addr, "$", p.secret).Replace(
		with("POST /events", "Transfer-Encoding: chunked")+"4\r\none\n\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = conn.Close() // or Body.Close would wait for the end of the stream
		_ = r.Body.Close()
	}()
	hear = bufio.NewReader(r.Body)
	for i, word := range []string{"one", "two"} {
		if i > 0 {
			_, _ = io.WriteString(conn, "4\r\n"+word+"\n\r\n")
		}
		got, err := hear.ReadString('\n')
		if err != nil || got != "data: "+word+"\n" {
			t.Fatalf("%q, %v", got, err)
		}
		_, _ = hear.ReadString('\n')
	}
}

// A token that the server refuses is renewed once for all, and the request sent again if its body is small.
func TestProxyRenews(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	var mu sync.Mutex
	var refused []string
	p.server.Refuse(func(token string) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(refused, token)
	})
	for name, c := range map[string]struct {
		fields []string
		body   string
		again  bool
	}{
		"no body":    {nil, "", true},
		"1 MiB":      {[]string{"Content-Length: 1048576"}, strings.Repeat("x", 1<<20), true},
		"chunked":    {[]string{"Transfer-Encoding: chunked"}, "3\r\nabc\r\n0\r\n\r\n", true},
		"over 1 MiB": {[]string{"Content-Length: 1048577"}, strings.Repeat("x", 1<<20+1), false},
	} {
		mu.Lock()
		refused = append(refused, strings.TrimSpace(p.Must("token")))
		mu.Unlock()
		p.Tenant.Reset()
		r, body := p.ask(t, with("POST /x", c.fields...)+c.body)
		if (r.StatusCode == http.StatusOK) != c.again || !c.again && r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, r.StatusCode, body)
		}
		if r, body := p.ask(t, with("GET /after")); r.StatusCode != http.StatusOK {
			t.Errorf("%s, then: %d %s", name, r.StatusCode, body)
		}
		if n := p.Tenant.Requests("token"); n != 1 {
			t.Errorf("%s: %d renewals", name, n)
		}
	}
	// A server that refuses every token costs one renewal, not one for each request.
	p.server.Refuse(func(string) bool { return true })
	p.Tenant.Reset()
	for range 5 {
		if r, _ := p.ask(t, with("GET /x")); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("a server that refuses every token: %d", r.StatusCode)
		}
	}
	if n := p.Tenant.Requests("token"); n != 1 {
		t.Errorf("a server that refuses every token: %d renewals", n)
	}
}

// At the start nobody is logged in: exit 3. Later: 502, with words. A server or an address that may not be: exit 2.
func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	to := p.server.URL
	for name, args := range map[string][]string{
		"no server": {}, "an unlisted server": {"--to", "https://mallory.example.com"},
		"a path": {"--to", to + "/x"}, "a query": {"--to", to + "?x"}, "a user": {"--to", "https://a@" + p.server.Host},
		"every address": {"--to", to, "--listen", "0.0.0.0:0"}, "no address": {"--to", to, "--listen", ":0"},
		"another name": {"--to", to, "--listen", "example.com:80"}, "no port": {"--to", to, "--listen", "localhost"},
		"both": {"--to", to, "--listen", "localhost:0", "--socket", "/tmp/x"},
	} {
		if r := p.Run(append([]string{"proxy"}, args...)...); r.Code != 2 || r.Stdout != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := p.Run("proxy", "--to", to, "--listen", p.addr); r.Code != 1 || !strings.Contains(r.Stderr, "--listen") {
		t.Errorf("a port that is taken: %+v", r)
	}
	p.Must("logout", "--local")
	if r, body := p.ask(t, with("GET /x")); r.StatusCode != http.StatusBadGateway || len(p.last()) != 0 ||
		!strings.Contains(body, "nobody is logged in: run loopkey login") {
		t.Errorf("after the logout: %d %s", r.StatusCode, body)
	}
	if r := p.Run("proxy", "--to", to); r.Code != 3 || r.Stdout != "" {
		t.Errorf("a start without a session: %+v", r)
	}
	p.Must("login")
	if r, body := p.ask(t, with("GET /x")); r.StatusCode != http.StatusOK {
		t.Errorf("after the next login: %d %s", r.StatusCode, body)
	}
	_ = p.running.Cmd.Process.Signal(os.Interrupt)
	text, _ := io.ReadAll(p.running.Stderr)
	if err := p.running.Cmd.Wait(); err != nil || strings.Contains(string(text), p.secret) {
		t.Errorf("it ends with %v: %s", err, text)
	}
}

// At a socket there is no secret: the kernel says who asks.
func TestProxySocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(house.ShortDir(t), "s")
	p := startProxy(t, "--socket", path)
	if p.addr != path {
		t.Fatalf("it prints %q", p.addr)
	}
	if r, body := p.ask(t, get("/a%2Fb")); r.StatusCode != http.StatusOK || body != "GET /a%2Fb 0" {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	if r, _ := p.ask(t, get("/x", "Origin: http://localhost")); r.StatusCode != http.StatusForbidden {
		t.Errorf("a page: %d", r.StatusCode)
	}
	if r, _ := p.ask(t, get("http://mallory.example.com/x")); r.StatusCode != http.StatusBadRequest {
		t.Errorf("an absolute URL: %d", r.StatusCode)
	}
}

// The lines of docs/tools/proxy.md get curl to a server that wants a token.
func TestProxyPage(t *testing.T) {
	t.Parallel()
	clients.Need(t, "curl", true)
	p := startProxy(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec",
		clients.Block(t, "proxy.md", "sh", "https://api.acme.example", p.server.URL))
	cmd.Env, cmd.Dir = p.Env, dir
	if r := p.Finish(cmd); r.Code != 0 || !strings.Contains(r.Stdout, "GET /v1/things?page=2 0") {
		t.Errorf("%+v", r)
	}
}
