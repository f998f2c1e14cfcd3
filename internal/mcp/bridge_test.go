package mcp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/internal/mcp"
)

// Whatever the server replies, a request has one response, and it says why there is no other. The bridge goes on.
func TestEachRequestHasOneResponse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 32<<20)
	for name, test := range map[string]struct {
		reply func(body string) reply
		want  string
	}{
		"hung up":             {func(string) reply { return reply{status: -1} }, `"code":-32013`},
		"503":                 {func(string) reply { return reply{status: 503} }, `"code":-32012`},
		"401":                 {func(string) reply { return reply{status: 401} }, `"code":-32011`},
		"accepted":            {func(string) reply { return reply{status: 202} }, `"code":-32015`},
		"a page":              {func(string) reply { return reply{body: strings.NewReader("<html>")} }, `"code":-32015`},
		"no JSON":             {func(string) reply { return jsonReply(200, `{"jsonrpc`) }, `"code":-32015`},
		"empty":               {func(string) reply { return jsonReply(200, ``) }, `"code":-32015`},
		"another's response":  {func(string) reply { return result(`{"id":77}`, "{}") }, `"code":-32013`},
		"stream without it":   {func(string) reply { return stream("data: \n\n") }, `"code":-32013`},
		"stream of nonsense":  {func(string) reply { return stream("data: {\n\n") }, `"code":-32015`},
		"stream cut short":    {func(b string) reply { return stream(`data: {"id":` + idOf(b)) }, `"code":-32013`},
		"an endless event":    {func(string) reply { return stream("data: " + long + "xxxxxxxxx\n\n") }, `"code":-32014`},
		"an endless response": {func(string) reply { return jsonReply(200, `{"result":"`+long+`"}`) }, `"code":-32014`},
		"an error of its own": {
			func(string) reply {
				return jsonReply(400, `{"jsonrpc":"2.0","id":null,"error":{"code":-5,"message":"no"}}`)
			},
			`"error":{"code":-5,"message":"no"}`,
		},
		"another origin": {func(string) reply {
			return reply{status: 307, header: http.Header{"Location": {"https://other.example/"}}}
		}, "https://other.example"},
		"another method": {func(string) reply {
			return reply{status: 302, header: http.Header{"Location": {"/other"}}}
		}, `"code":-32012`},
		"twice": {func(b string) reply {
			one := `{"jsonrpc":"2.0","id":` + idOf(b) + `,"result":1}`
			return stream("data: " + one + "\n\ndata: " + one + "\n\n")
		}, `"result":1`},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && strings.HasPrefix(name, "an endless") {
				t.Skip("messages of 32 MiB")
			}
			bubble(t, func(t *testing.T) {
				s := &server{handle: func(_ *http.Request, body string) reply {
					if methodOf(body) == "ping" {
						return result(body, `"pong"`)
					}
					return test.reply(body)
				}}
				h := start(t, s, mcp.Config{})
				h.send(call("99", "ping"))
				h.next()
				for i := range 3 {
					id := fmt.Sprintf(`"r%d"`, i)
					h.send(call(id, "tools/list"))
					line := h.next()
					if idOf(line) != id || !strings.Contains(line, test.want) {
						t.Errorf("%.300s, want %s", line, test.want)
					}
				}
				h.send(call("98", "ping"))
				if line := h.next(); !strings.Contains(line, "pong") {
					t.Errorf("after that: %.300s", line)
				}
				if err := h.end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The end of the input ends the bridge in less than two seconds, also where the server replies to nothing and the host
// reads nothing.
func TestEndOfInput(t *testing.T) {
	t.Parallel()
	for name, reads := range map[string]bool{"host reads": true, "host reads nothing": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := withSession(func(r *http.Request, body string) reply {
					if methodOf(body) == "notifications/initialized" {
						return reply{}
					}
					<-r.Context().Done()
					return reply{}
				})
				a := &authorizer{ask: func(ctx context.Context, _ *authorizer, _ int) error {
					<-ctx.Done()
					return ctx.Err()
				}}
				h := start(t, s, mcp.Config{Authorizer: a})
				h.begin()
				h.send(call("1", "tools/list"), call("2", "tools/list"), `{"jsonrpc":"2.0","method":"notifications/x"}`)
				synctest.Wait()
				before := time.Now()
				_ = h.in.Close()
				var got []string
				if reads {
					for range 2 {
						line := h.next()
						got = append(got, idOf(line))
						if !strings.Contains(line, `"code":-32013`) {
							t.Error(line)
						}
					}
				}
				if err := <-h.done; err != nil {
					t.Error(err)
				}
				if took := time.Since(before); took >= 2*time.Second {
					t.Errorf("it took %v", took)
				}
				if slices.Sort(got); reads && !slices.Equal(got, []string{"1", "2"}) {
					t.Errorf("responses: %v", got)
				}
				if s.count("DELETE") != 1 {
					t.Errorf("the session was not ended: %v", s.requests())
				}
			})
		})
	}
}

// A request that is under way at the end of the input gets its response, so that a script may pipe its requests in.
func TestLastResponse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := withSession(func(_ *http.Request, body string) reply {
			if methodOf(body) == "tools/list" {
				<-release
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		h.send(call("1", "tools/list"))
		_ = h.in.Close()
		synctest.Wait()
		close(release)
		if line := h.next(); !strings.Contains(line, `"result"`) {
			t.Error(line)
		}
		if err := <-h.done; err != nil {
			t.Error(err)
		}
	})
}

// A host that is gone ends the bridge.
func TestOutputFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gone := errors.New("gone")
		in, hostIn := io.Pipe()
		defer hostIn.Close()
		s := withSession(nil)
		done := make(chan error, 1)
		go func() {
			done <- mcp.Run(t.Context(), mcp.Config{
				URL: serverURL, HTTPClient: &http.Client{Transport: s}, In: in,
				Out: writerFunc(func([]byte) (int, error) { return 0, gone }),
			})
		}()
		_, _ = io.WriteString(hostIn, initialize+"\n")
		if err := <-done; !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Each message is one Write, so that nothing comes between its parts, and stands on one line.
func TestWholeLines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &server{handle: func(_ *http.Request, body string) reply {
			if idOf(body) == "2" {
				return stream("data: {\"id\": 2,\ndata: \"result\":\r\ndata: 1}\n\n")
			}
			return jsonReply(200, "\uFEFF{\r\n  \"id\": 1,\n  \"result\": \"\xff\"\n}\n")
		}}
		var lines []string
		in, hostIn := io.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- mcp.Run(t.Context(), mcp.Config{
				URL: serverURL, HTTPClient: &http.Client{Transport: s}, In: in,
				Out: writerFunc(func(p []byte) (int, error) { lines = append(lines, string(p)); return len(p), nil }),
			})
		}()
		_, _ = io.WriteString(hostIn, call("1", "x")+"\n")
		synctest.Wait()
		_, _ = io.WriteString(hostIn, "\r\n"+call("2", "x")) // without a line end
		_ = hostIn.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{"{    \"id\": 1,   \"result\": \"\uFFFD\" }\n", "{\"id\": 2, \"result\": 1}\n"}
		if !slices.Equal(lines, want) {
			t.Errorf("%q, want %q", lines, want)
		}
	})
}

// What the host sends that is no message is answered, and what is too long as well: with its ID.
func TestBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("messages of 32 MiB")
	}
	bubble(t, func(t *testing.T) {
		var posted []string
		s := &server{handle: func(_ *http.Request, body string) reply {
			if methodOf(body) == "" {
				posted = append(posted, body)
				return reply{status: 202}
			}
			return result(body, "{}")
		}}
		h := start(t, s, mcp.Config{})
		long := strings.Repeat(`{[\"\\`, 6<<20)
		for _, test := range [][2]string{
			{`{`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON"}}`},
			{`7`, `"code":-32600`},
			{`{"id":1}`, `"code":-32600`},
			{`{"id":null,"method":"x"}`, `"code":-32600`},
			{`{"id":[1],"method":"x"}`, `"code":-32600`},
			{`[]`, `"code":-32600`},
			{`{"params":{"id":5,"x":"` + long + `"},"method":"x","id": "a\"b" }`, `"id":"a\"b","error":{"code":-32014`},
			{`{"id":6,"method":"x","y":[{"id":7}],"x":"` + long + `"}`, `"id":6,"error":{"code":-32014`},
			{`[{"id":6,"method":"x","x":"` + long + `"}]`, `"id":null,"error":{"code":-32014`},
		} {
			h.send(test[0])
			if line := h.next(); !strings.Contains(line, test[1]) {
				t.Errorf("%.40s: %.200s, want %s", test[0], line, test[1])
			}
		}
		h.send(`{"method":"notifications/x","x":"` + long + `"}`) // nobody waits for a response
		h.send(`{"id":9,"result":"` + long + `"}`)                // the server waits for this one
		h.send(call("1", "x"))
		if line := h.next(); idOf(line) != "1" {
			t.Error(line)
		}
		_ = h.end()
		if len(posted) != 1 || !strings.Contains(posted[0], `"id":9,"error":{"code":-32014`) {
			t.Errorf("the server got %.200q", posted)
		}
	})
}

// Each message of a batch is a request of its own, in both directions.
func TestBatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &server{handle: func(_ *http.Request, body string) reply {
			return jsonReply(200, `[{"method":"notifications/x"},{"id":`+idOf(body)+`,"result":{}}]`)
		}}
		h := start(t, s, mcp.Config{})
		h.send(`[` + call("1", "a") + `,` + call("2", "b") + `]`)
		var got []string
		for range 4 {
			line := h.next()
			got = append(got, idOf(line)+methodOf(line))
		}
		slices.Sort(got)
		if !slices.Equal(got, []string{"1", "2", "notifications/x", "notifications/x"}) {
			t.Errorf("%v", got)
		}
		_ = h.end()
	})
}

// A message of 32 MiB passes in both directions, to the byte.
func TestLargestMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("messages of 32 MiB")
	}
	bubble(t, func(t *testing.T) {
		var sent string
		s := &server{handle: func(_ *http.Request, body string) reply {
			sent = body
			return jsonReply(200, strings.Replace(body, `"method":"x"`, `"result":1 `, 1))
		}}
		h := start(t, s, mcp.Config{})
		line := `{"id":1,"method":"x","params":"` + strings.Repeat("x", 32<<20-33) + `"}`
		if len(line) != 32<<20 {
			t.Fatal(len(line))
		}
		h.send(line)
		if got := h.next(); sent != line || len(got) != len(line)-1 {
			t.Errorf("%d bytes to the server, %d back", len(sent), len(got))
		}
		_ = h.end()
	})
}

// Requests run side by side. What follows a notification is sent when the server has accepted that, and what is not
// accepted delays it by no more than ten seconds.
func TestOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := withSession(func(r *http.Request, body string) reply {
			switch methodOf(body) {
			case "slow":
				<-release
			case "notifications/hangs":
				<-r.Context().Done()
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		h.send(call("1", "slow"), call("2", "quick"))
		if line := h.next(); idOf(line) != "2" {
			t.Errorf("the quick request waited: %s", line)
		}
		before := time.Now()
		h.send(`{"jsonrpc":"2.0","method":"notifications/hangs"}`, call("3", "quick"))
		if line := h.next(); idOf(line) != "3" || time.Since(before) != 10*time.Second {
			t.Errorf("after %v: %s", time.Since(before), line)
		}
		close(release)
		h.next()
		want := []string{"POST initialize", "POST notifications/initialized"}
		if got := s.requests(); !slices.Equal(got[:2], want) {
			t.Errorf("%v", got)
		}
		_ = h.end()
	})
}

// A host that reads slowly and a server that never stops sending cost the memory of a few events.
func TestFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sent := 0
		s := withSession(func(r *http.Request, _ string) reply {
			if r.Method != http.MethodGet {
				return reply{}
			}
			in, out := io.Pipe()
			go func() {
				event := `data: {"method":"notifications/message","params":"` + strings.Repeat("x", 64<<10) + "\"}\n\n"
				for {
					if _, err := io.WriteString(out, event); err != nil {
						return
					}
					sent++
				}
			}()
			context.AfterFunc(r.Context(), func() { _ = in.CloseWithError(io.EOF) })
			return events(in)
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		synctest.Wait() // everything waits for the host
		if sent > 10 {
			t.Errorf("%d events were taken from the server", sent)
		}
		h.next()
		before := time.Now()
		_ = h.in.Close()
		if err := <-h.done; err != nil || time.Since(before) >= 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(before))
		}
	})
}

// A host that sends more than the server takes is told so, before it costs the memory.
func TestTooManyRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &server{handle: func(r *http.Request, _ string) reply {
			<-r.Context().Done()
			return reply{}
		}}
		h := start(t, s, mcp.Config{})
		for i := range 1024 {
			h.send(call(fmt.Sprint(i), "x"))
		}
		h.send(call("1024", "x"))
		if line := h.next(); idOf(line) != "1024" || !strings.Contains(line, `"code":-32017`) {
			t.Error(line)
		}
		h.send(call("7", "x"))
		if line := h.next(); idOf(line) != "7" || !strings.Contains(line, `"code":-32600`) {
			t.Errorf("the same ID twice: %s", line)
		}
		_ = h.end()
	})
}

// A token goes to https, or to this machine, and there to no other origin. A URL may be none of these.
func TestURLs(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"http://mcp.example/mcp", "http://localhost.example/", "https://user@mcp.example/", "https://mcp.example/#x",
		"https:///mcp", "https:mcp", "ftp://localhost/", "mcp.example", "https://mcp.example:0/",
		"https://mcp.example:99999/", "",
	} {
		if err := mcp.Run(t.Context(), mcp.Config{URL: raw}); !errors.Is(err, mcp.ErrURL) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for _, raw := range []string{"https://mcp.example", "http://localhost:1/mcp", "http://127.0.0.1/", "http://[::1]:8/"} {
		err := mcp.Run(t.Context(), mcp.Config{URL: raw, In: strings.NewReader(""), Out: io.Discard})
		if err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// No header field of the person's replaces one that the bridge, or the connection, sets.
func TestHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Authorization", "authorization", "Proxy-Authorization", "MCP-Session-Id", "mcp-protocol-version", "Mcp-Param-X",
		"Accept", "Content-Type", "Content-Length", "Host", "Last-Event-ID",
		"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Connection", "", "a b", "a:b",
	} {
		err := mcp.Run(t.Context(), mcp.Config{URL: serverURL, Header: http.Header{name: {"x"}}})
		if !errors.Is(err, mcp.ErrHeader) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, value := range []string{"a\r\nb", "a\x00", "a\x7f"} {
		err := mcp.Run(t.Context(), mcp.Config{URL: serverURL, Header: http.Header{"X-Team": {value}}})
		if !errors.Is(err, mcp.ErrHeader) {
			t.Errorf("%q: %v", value, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var got string
		s := withSession(func(r *http.Request, _ string) reply {
			if r.Method == http.MethodDelete {
				got = r.Header.Get("X-Team")
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{Header: http.Header{"x-team": {"blue"}}})
		h.begin()
		_ = h.end()
		if got != "blue" {
			t.Errorf("X-Team: %q", got)
		}
	})
}
