package mcp_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/mcp"
)

// HTTP with SSE is tried where the first POST is refused with 400, 404 or 405 and no JSON-RPC error, and only there.
func TestFallback(t *testing.T) {
	t.Parallel()
	refused := `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}`
	for name, test := range map[string]struct {
		reply reply
		falls bool
	}{
		"400":                       {reply{status: 400}, true},
		"404":                       {reply{status: 404}, true},
		"405":                       {reply{status: 405}, true},
		"400 with a JSON-RPC error": {jsonReply(400, refused), false},
		"403":                       {reply{status: 403}, false},
		"500":                       {reply{status: 500}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var stream *io.PipeWriter
				s := &server{handle: func(r *http.Request, body string) reply {
					switch {
					case r.Method == http.MethodGet:
						in, out := io.Pipe()
						stream = out
						context.AfterFunc(r.Context(), func() { _ = out.Close() })
						go func() { _, _ = io.WriteString(out, "event: endpoint\ndata: /messages?s=1\n\n") }()
						return events(in)
					case r.URL.Path == "/messages":
						go func() { _, _ = io.WriteString(stream, "data: {\"id\":"+idOf(body)+",\"result\":1}\n\n") }()
						return reply{status: 202}
					}
					return test.reply
				}}
				if body := test.reply.body; body != nil {
					text, _ := io.ReadAll(body)
					test.reply.body = strings.NewReader(string(text))
				}
				h := start(t, s, mcp.Config{})
				h.send(call("1", "x"))
				line := h.next()
				if fell := line == `{"id":1,"result":1}`; fell != test.falls {
					t.Errorf("%s, %v", line, s.requests())
				}
				if n := s.count("GET"); test.falls != (n == 1) {
					t.Errorf("%d GETs", n)
				}
				_ = h.end()
			})
		})
	}
}

// A server of the older transport can't send the host's messages to another origin, nor make the bridge wait.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"another host":   "event: endpoint\ndata: https://other.example/messages\n\n",
		"another port":   "event: endpoint\ndata: https://mcp.example:444/messages\n\n",
		"another scheme": "event: endpoint\ndata: http://mcp.example/messages\n\n",
		"a user":         "event: endpoint\ndata: https://u@mcp.example/messages\n\n",
		"no URL":         "event: endpoint\ndata: https://%zz/\n\n",
		"no endpoint":    "data: {}\n\n",
		"nothing":        "",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := &server{handle: func(r *http.Request, _ string) reply {
					if r.URL.Host != "mcp.example" || r.URL.Path != "/mcp" {
						t.Errorf("%s was asked", r.URL)
					}
					if r.Method == http.MethodPost {
						return reply{status: 405}
					}
					in, out := io.Pipe()
					go func() { _, _ = io.WriteString(out, first) }()
					context.AfterFunc(r.Context(), func() { _ = out.Close() })
					return events(in)
				}}
				h := start(t, s, mcp.Config{Authorizer: &authorizer{token: theToken}})
				before := time.Now()
				h.send(call("1", "x"))
				if line := h.next(); !strings.Contains(line, `"code":-32012`) || !strings.Contains(line, "405") {
					t.Error(line)
				}
				if took := time.Since(before); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				_ = h.end()
			})
		})
	}
}
