package mcp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/provider"
)

const serverURL = "https://mcp.example/mcp"

// A reply is what a server of the tests replies with. A body that ends with the request's context is a stream.
type reply struct {
	status int // 0: 200; below 0: the server hangs up
	header http.Header
	body   io.Reader
}

func jsonReply(status int, body string) reply {
	return reply{status, http.Header{"Content-Type": {"application/json"}}, strings.NewReader(body)}
}

func events(body io.Reader) reply {
	return reply{0, http.Header{"Content-Type": {"text/event-stream"}}, body}
}

func stream(text string) reply { return events(strings.NewReader(text)) }

// result returns a response to the request in body.
func result(body, value string) reply {
	return jsonReply(200, `{"jsonrpc":"2.0","id":`+idOf(body)+`,"result":`+value+`}`)
}

func idOf(body string) string { return string(fields(body)["id"]) }

func methodOf(body string) string { return strings.Trim(string(fields(body)["method"]), `"`) }

func fields(body string) (all map[string]json.RawMessage) {
	_ = json.Unmarshal([]byte(body), &all) // an empty map then
	return all
}

// A server is a server in memory, so that time can be a bubble's.
type server struct {
	handle func(r *http.Request, body string) reply

	mu   sync.Mutex
	seen []string // "POST initialize", "GET", "DELETE", in the order of arrival
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	s.mu.Lock()
	s.seen = append(s.seen, strings.TrimSpace(r.Method+" "+methodOf(string(body))))
	s.mu.Unlock()
	replies := make(chan reply, 1)
	go func() { replies <- s.handle(r, string(body)) }()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case reply := <-replies:
		if reply.status < 0 {
			return nil, errors.New("connection reset")
		}
		if reply.status == 0 {
			reply.status = 200
		}
		if reply.header == nil {
			reply.header = http.Header{}
		}
		if reply.body == nil {
			reply.body = strings.NewReader("")
		}
		in, out := io.Pipe()
		stop := context.AfterFunc(r.Context(), func() { _ = in.CloseWithError(r.Context().Err()) })
		go func() {
			_, err := io.Copy(out, reply.body)
			_ = out.CloseWithError(err)
			stop()
		}()
		return &http.Response{
			StatusCode: reply.status, Header: reply.header, Body: in, Request: r, ProtoMajor: 1, ProtoMinor: 1,
			ContentLength: -1,
		}, nil
	}
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

func (s *server) count(request string) (n int) {
	for _, one := range s.requests() {
		if one == request {
			n++
		}
	}
	return n
}

// A host is the program that runs the bridge.
type host struct {
	t    *testing.T
	in   *io.PipeWriter
	out  *bufio.Reader
	done chan error
	logs *strings.Builder
}

// start runs a bridge to a server, until the end of the test or of the input.
func start(t *testing.T, s *server, c mcp.Config) *host {
	t.Helper()
	if c.URL == "" {
		c.URL = serverURL
	}
	if s != nil {
		c.HTTPClient = &http.Client{Transport: s}
	}
	in, hostIn := io.Pipe()
	hostOut, out := io.Pipe()
	h := &host{t: t, in: hostIn, out: bufio.NewReader(hostOut), done: make(chan error, 1), logs: &strings.Builder{}}
	var mu sync.Mutex
	c.In, c.Out, c.Log = in, out, func(line string) {
		mu.Lock()
		defer mu.Unlock()
		h.logs.WriteString(line + "\n")
	}
	go func() { h.done <- mcp.Run(t.Context(), c) }()
	t.Cleanup(func() {
		_ = hostIn.Close()
		_ = hostOut.Close()
	})
	return h
}

func (h *host) send(lines ...string) {
	h.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(h.in, line+"\n"); err != nil {
			h.t.Fatal(err)
		}
	}
}

// next returns the next line for the host.
func (h *host) next() string {
	h.t.Helper()
	line, err := h.out.ReadString('\n')
	if err != nil {
		h.t.Fatalf("no line for the host: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// end ends the input, and returns what Run returned.
func (h *host) end() error {
	_ = h.in.Close()
	go func() { _, _ = io.Copy(io.Discard, h.out) }()
	err := <-h.done
	synctest.Wait() // for what the server still does
	return err
}

func call(id, method string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{}}`
}

const (
	initialize  = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	began       = `{"protocolVersion":"2025-11-25","capabilities":{}}`
)

// withSession is a server with sessions that are named 1, 2, …; then handles what is not initialize, and where it
// returns the zero reply, the server replies with an empty result, or with 202.
func withSession(then func(r *http.Request, body string) reply) *server {
	var mu sync.Mutex
	n := 0
	return &server{handle: func(r *http.Request, body string) reply {
		if methodOf(body) == "initialize" {
			mu.Lock()
			n++
			id := string(rune('0' + n))
			mu.Unlock()
			it := result(body, began)
			it.header.Set("Mcp-Session-Id", id)
			return it
		}
		if then != nil {
			if it := then(r, body); it.status != 0 || it.header != nil {
				return it
			}
		}
		switch {
		case r.Method == http.MethodGet:
			return reply{status: 405}
		case idOf(body) != "" && methodOf(body) != "":
			return result(body, "{}")
		}
		return reply{status: 202}
	}}
}

// begin initializes a session.
func (h *host) begin() {
	h.t.Helper()
	h.send(initialize)
	if line := h.next(); !strings.Contains(line, `"result"`) {
		h.t.Fatalf("initialize: %s", line)
	}
	h.send(initialized)
}

// An authorizer hands out tokens. ask, if not nil, is called for each challenge.
type authorizer struct {
	mu    sync.Mutex
	token string
	asked int
	ask   func(ctx context.Context, a *authorizer, status int) error
}

func (a *authorizer) Token(context.Context) (mcp.Token, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return mcp.Token{Secret: provider.NewSecret(a.token)}, nil
}

func (a *authorizer) Challenged(ctx context.Context, status int, _ []string, _ provider.Secret) error {
	a.mu.Lock()
	a.asked++
	a.mu.Unlock()
	return a.ask(ctx, a, status)
}

func (a *authorizer) set(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = token
}

func (a *authorizer) questions() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// bubble runs a test in a bubble of time.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}
