package mcp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/internal/mcp"
)

// A session that the server has lost is begun again once, however many requests met the 404, and each request is sent
// once more. The host sees nothing of it.
func TestLostSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		lost, before := false, []string{}
		s := withSession(func(r *http.Request, body string) reply {
			mu.Lock()
			defer mu.Unlock()
			session := r.Header.Get("Mcp-Session-Id")
			if r.Header.Get("Mcp-Protocol-Version") != "2025-11-25" {
				t.Errorf("%s: version %q", body, r.Header.Get("Mcp-Protocol-Version"))
			}
			if lost && session == "1" {
				return jsonReply(404, `{"jsonrpc":"2.0","id":`+idOf(body)+`,"error":{"code":-32001,"message":"no session"}}`)
			}
			if session == "2" && methodOf(body) != "" {
				before = append(before, methodOf(body))
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		h.send(call("1", "x"))
		h.next()
		mu.Lock()
		lost = true
		mu.Unlock()
		for i := range 10 {
			h.send(call(fmt.Sprint(i), "again"))
		}
		for range 10 {
			if line := h.next(); !strings.Contains(line, `"result"`) {
				t.Error(line)
			}
		}
		h.send(`{"jsonrpc":"2.0","method":"notifications/x"}`)
		if err := h.end(); err != nil {
			t.Error(err)
		}
		if s.count("POST initialize") != 2 || s.count("POST again") > 20 || before[0] != "notifications/initialized" {
			t.Errorf("%v, in the second session %v", s.requests(), before)
		}
	})
}

// What the host has set in a session holds in the one that follows it: the host does not learn that it is another one.
// What the server refused, or the host has ended, is not set again.
func TestSettingsOutliveTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const about = `{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%q:%q}}`
		var lost atomic.Bool
		var mu sync.Mutex
		var then []string
		s := withSession(func(r *http.Request, body string) reply {
			mu.Lock()
			defer mu.Unlock()
			session := r.Header.Get("Mcp-Session-Id")
			switch {
			case lost.Load() && session == "1":
				return reply{status: 404}
			case session == "2" && body != "":
				then = append(then, methodOf(body)+string(fields(body)["params"]))
			}
			if strings.Contains(body, "secret") {
				return jsonReply(200, `{"jsonrpc":"2.0","id":`+idOf(body)+`,"error":{"code":-1,"message":"no"}}`)
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		for i, setting := range [][3]string{
			{"resources/subscribe", "uri", "file:///a"}, {"logging/setLevel", "level", "debug"},
			{"resources/subscribe", "uri", "file:///b"}, {"resources/subscribe", "uri", "secret"},
			{"resources/unsubscribe", "uri", "file:///a"}, {"logging/setLevel", "level", "error"},
		} {
			h.send(fmt.Sprintf(about, i+1, setting[0], setting[1], setting[2]))
			h.next()
		}
		lost.Store(true)
		h.send(call("7", "x"))
		if line := h.next(); idOf(line) != "7" || !strings.Contains(line, `"result"`) {
			t.Error(line)
		}
		_ = h.end()
		want := []string{
			"notifications/initialized", `logging/setLevel{"level":"error"}`, `resources/subscribe{"uri":"file:///b"}`, "x{}",
		}
		if !slices.Equal(then, want) {
			t.Errorf("in the next session:\n%q, want\n%q", then, want)
		}
	})
}

// A server that does not set it again has a session that can be used all the same.
func TestSettingsThatFail(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]reply{
		"refused": {status: 400}, "lost": {status: 404}, "silent": events(nil),
		"an error": jsonReply(200, `{"id":1,"error":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var lost atomic.Bool
				s := withSession(func(r *http.Request, body string) reply {
					session := r.Header.Get("Mcp-Session-Id")
					switch {
					case lost.Load() && session == "1":
						return reply{status: 404}
					case session == "2" && methodOf(body) == "resources/subscribe" && again.body == nil && again.header != nil:
						in, out := io.Pipe()
						context.AfterFunc(r.Context(), func() { _ = out.Close() })
						return events(in)
					case session == "2" && methodOf(body) == "resources/subscribe":
						return again
					}
					return reply{}
				})
				h := start(t, s, mcp.Config{})
				h.begin()
				h.send(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///a"}}`)
				h.next()
				lost.Store(true)
				for range 2 {
					h.send(call("2", "x"))
					if line := h.next(); !strings.Contains(line, `"result"`) {
						t.Error(line)
					}
				}
				_ = h.end()
				if n := s.count("POST initialize"); n != 2 {
					t.Errorf("%d sessions", n)
				}
			})
		})
	}
}

// A session that can't be begun again, or that is another one, fails the request and not the bridge. A server that
// loses each session is not asked for ever.
func TestSessionIsNotTheSame(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(body string) reply{
		"another version": func(body string) reply { return result(body, `{"protocolVersion":"2025-03-26"}`) },
		"an error":        func(body string) reply { return jsonReply(200, `{"id":0,"error":{"code":-1,"message":"no"}}`) },
		"503":             func(string) reply { return reply{status: 503} },
		"lost at once":    func(body string) reply { return result(body, began) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := 0
				s := &server{handle: func(r *http.Request, body string) reply {
					if methodOf(body) == "initialize" {
						if n++; n > 1 {
							it := second(body)
							if it.header != nil {
								it.header.Set("Mcp-Session-Id", "two")
							}
							return it
						}
						it := result(body, began)
						it.header.Set("Mcp-Session-Id", "one")
						return it
					}
					if methodOf(body) == "x" {
						return reply{status: 404}
					}
					return reply{status: 202}
				}}
				h := start(t, s, mcp.Config{})
				h.send(initialize)
				h.next()
				for i := range 2 {
					h.send(call(fmt.Sprint(i), "x"))
					if line := h.next(); !strings.Contains(line, `"code":-3201`) {
						t.Error(line)
					}
				}
				_ = h.end()
				if n > 3 {
					t.Errorf("%d sessions", n)
				}
			})
		})
	}
}

// A stream for what the server sends by itself is opened again after the last event, later with each failure, and not
// at all where the server has none.
func TestListening(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lastIDs []string
		var at []time.Duration
		began := time.Now()
		s := withSession(func(r *http.Request, _ string) reply {
			if r.Method != http.MethodGet {
				return reply{}
			}
			lastIDs = append(lastIDs, r.Header.Get("Last-Event-Id"))
			at = append(at, time.Since(began))
			switch len(at) {
			case 1:
				return stream("retry: 200\nid: a\ndata: {\"method\":\"notifications/x\"}\n\nid: half")
			case 2:
				return reply{status: 503}
			case 3:
				return reply{status: -1}
			case 4:
				return reply{status: 409}
			case 5:
				return stream("id: b\ndata: {\"method\":\"notifications/y\"}\n\n")
			}
			<-r.Context().Done()
			return reply{}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		for _, want := range []string{"notifications/x", "notifications/y"} {
			if line := h.next(); methodOf(line) != want {
				t.Errorf("%s, want %s", line, want)
			}
		}
		time.Sleep(time.Second) //nolint:forbidigo // in a bubble
		_ = h.end()
		if !slices.Equal(lastIDs, []string{"", "a", "a", "a", "a", "b"}) {
			t.Errorf("Last-Event-ID: %q", lastIDs)
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 200 * ms, 600 * ms, 1400 * ms, 3000 * ms, 3200 * ms}; !slices.Equal(at, want) {
			t.Errorf("opened at %v, want %v", at, want)
		}
	})
	for _, status := range []int{405, 404, 400, 501} {
		synctest.Test(t, func(t *testing.T) {
			s := withSession(func(r *http.Request, _ string) reply {
				if r.Method == http.MethodGet {
					return reply{status: status}
				}
				return reply{}
			})
			h := start(t, s, mcp.Config{})
			h.begin()
			time.Sleep(time.Hour) //nolint:forbidigo // in a bubble
			_ = h.end()
			if n := s.count("GET"); status < 500 && n != 1 || n > 70 {
				t.Errorf("%d: %d times", status, n)
			}
		})
	}
}

// A stream that worked and is gone with its session is opened in a new session.
func TestListeningLosesTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		s := withSession(func(r *http.Request, _ string) reply {
			if r.Method != http.MethodGet {
				return reply{}
			}
			n++
			if r.Header.Get("Mcp-Session-Id") == "2" {
				return stream("data: {\"method\":\"notifications/new\"}\n\nretry: 3600000\n\n")
			}
			if n == 1 {
				return stream("id: a\n\n")
			}
			return reply{status: 404}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		if line := h.next(); methodOf(line) != "notifications/new" {
			t.Error(line)
		}
		_ = h.end()
	})
}

// A response whose connection broke is taken up after the last event, at most five times in a row without one.
func TestResumption(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gets := 0
		s := withSession(func(r *http.Request, body string) reply {
			switch {
			case r.Method == http.MethodGet && r.Header.Get("Last-Event-Id") != "":
				gets++
				switch r.Header.Get("Last-Event-Id") {
				case "good":
					return stream("data: {\"id\":1,\"result\":\"resumed\"}\n\n")
				case "gone":
					return reply{status: 405}
				}
				return stream(": nothing\n\n")
			case methodOf(body) == "x":
				id := map[string]string{"1": "good", "2": "bad", "3": "gone"}[idOf(body)]
				return stream("id: " + id + "\ndata:\n\n")
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		h.send(call("1", "x"))
		if line := h.next(); line != `{"id":1,"result":"resumed"}` {
			t.Error(line)
		}
		gets = 0
		h.send(call("2", "x"))
		if line := h.next(); !strings.Contains(line, `"code":-32013`) || gets != 5 {
			t.Errorf("%s after %d attempts", line, gets)
		}
		h.send(call("3", "x"))
		if line := h.next(); !strings.Contains(line, `"code":-32013`) {
			t.Error(line)
		}
		_ = h.end()
	})
}

// A server's request passes to the host, and the response back, also while the request is under way that it belongs to.
func TestServerRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		answer := make(chan string)
		s := withSession(func(_ *http.Request, body string) reply {
			switch {
			case methodOf(body) == "ask":
				in, out := io.Pipe()
				go func() {
					_, _ = io.WriteString(out, "data: {\"id\":1,\"method\":\"elicitation/create\"}\n\n")
					_, _ = fmt.Fprintf(out, "data: {\"id\":1,\"result\":%s}\n\n", <-answer)
					_ = out.Close()
				}()
				return events(in)
			case body != "" && methodOf(body) == "":
				answer <- string(fields(body)["result"])
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{})
		h.begin()
		h.send(call("1", "ask"))
		if line := h.next(); methodOf(line) != "elicitation/create" {
			t.Error(line)
		}
		h.send(`{"jsonrpc":"2.0","id":1,"result":"Ada"}`)
		if line := h.next(); line != `{"id":1,"result":"Ada"}` {
			t.Error(line)
		}
		_ = h.end()
	})
}

// An older server learns of a cancelled request from the notification, a modern one from the end of the connection. The
// host gets no response, also no late one.
func TestCancelled(t *testing.T) {
	t.Parallel()
	const modern = `{"jsonrpc":"2.0","id":"é","method":"hang",` +
		`"params":{"_meta":{"io.modelcontextprotocol\/protocolVersion":"2026-07-28"}}}`
	for name, line := range map[string]string{"older": `{"jsonrpc":"2.0","id":"é","method":"hang"}`, "modern": modern} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				closed := make(chan struct{})
				s := withSession(func(r *http.Request, body string) reply {
					if methodOf(body) != "hang" {
						return reply{}
					}
					in, out := io.Pipe()
					context.AfterFunc(r.Context(), func() { _ = out.Close(); close(closed) })
					return events(in)
				})
				h := start(t, s, mcp.Config{})
				h.begin()
				h.send(line)
				synctest.Wait()
				h.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\u00e9"}}`)
				<-closed
				h.send(call("5", "x"))
				if line := h.next(); idOf(line) != "5" {
					t.Error(line)
				}
				_ = h.end()
				if n := s.count("POST notifications/cancelled"); name == "older" && n != 1 || name == "modern" && n != 0 {
					t.Errorf("%d notifications", n)
				}
			})
		})
	}
}
