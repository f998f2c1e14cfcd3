package mcp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/loopkey/loopkey/internal/mcp"
)

const theToken = "t0ken-of-the-person"

// guarded is a server that wants the token for methods that begin with "private", and a scope for "scoped".
func guarded(scope *bool) *server {
	var mu sync.Mutex
	return withSession(func(r *http.Request, body string) reply {
		mu.Lock()
		defer mu.Unlock()
		method := methodOf(body)
		switch token := r.Header.Get("Authorization"); {
		case strings.HasPrefix(method, "private") && token != "Bearer "+theToken:
			return challenge(401, `Bearer resource_metadata="https://mcp.example/r"`)
		case method == "scoped" && !*scope:
			return challenge(403, `Bearer error="insufficient_scope", scope="files"`)
		case method == "forbidden":
			return challenge(403, "Bearer")
		}
		return reply{}
	})
}

func challenge(status int, field string) reply {
	return reply{status: status, header: http.Header{"Www-Authenticate": {field}}}
}

// A 401 is one question, however many requests met it. Requests that met none are not delayed.
func TestChallengeIsShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		a := &authorizer{ask: func(_ context.Context, a *authorizer, status int) error {
			<-release
			if status != 401 {
				t.Errorf("status %d", status)
			}
			a.set(theToken)
			return nil
		}}
		s := guarded(new(bool))
		h := start(t, s, mcp.Config{Authorizer: a})
		h.begin()
		for i := range 20 {
			h.send(call(fmt.Sprint(i), "private"))
		}
		h.send(call("99", "open"))
		if line := h.next(); idOf(line) != "99" {
			t.Errorf("the request that needs no token waited: %s", line)
		}
		synctest.Wait()
		close(release)
		for range 20 {
			if line := h.next(); !strings.Contains(line, `"result"`) {
				t.Error(line)
			}
		}
		if a.questions() != 1 {
			t.Errorf("%d questions", a.questions())
		}
		_ = h.end()
	})
}

// A challenge is no loop: each request asks once for a token and once for a scope. Nobody is asked for another 403.
func TestChallengeOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		scope, n := false, 0
		a := &authorizer{ask: func(_ context.Context, a *authorizer, status int) error {
			n++
			if status == 401 {
				a.set(fmt.Sprintf("wrong-%d", n))
			}
			return nil
		}}
		h := start(t, guarded(&scope), mcp.Config{Authorizer: a})
		h.begin()
		for method, asked := range map[string]int{"private": 1, "scoped": 1, "forbidden": 0} {
			before := a.questions()
			h.send(call("1", method))
			if line := h.next(); !strings.Contains(line, `"code":-3201`) || strings.Contains(line, "wrong") {
				t.Errorf("%s: %s", method, line)
			}
			if got := a.questions() - before; got != asked {
				t.Errorf("%s: %d questions, want %d", method, got, asked)
			}
		}
		a.ask = func(context.Context, *authorizer, int) error { scope = true; return nil }
		h.send(call("2", "scoped"))
		if line := h.next(); !strings.Contains(line, `"result"`) {
			t.Errorf("after the step-up: %s", line)
		}
		a.ask = func(context.Context, *authorizer, int) error { return errors.New("run the login\x1b[2J by hand") }
		h.send(call("3", "private"))
		if line := h.next(); !strings.Contains(line, `{"code":-32011,"message":"run the login�[2J by hand"}`) {
			t.Errorf("what the authorizer says: %s", line)
		}
		_ = h.end()
	})
}

// A request that is cancelled while somebody logs in is not sent afterwards. The login goes on for the others.
func TestCancelledBeforeDelivery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		a := &authorizer{ask: func(ctx context.Context, a *authorizer, _ int) error {
			select {
			case <-release:
				a.set(theToken)
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		s := guarded(new(bool))
		h := start(t, s, mcp.Config{Authorizer: a})
		h.begin()
		h.send(call("1", "private/one"))
		synctest.Wait()
		h.send(call("2", "private/two"))
		synctest.Wait()
		h.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		synctest.Wait()
		close(release)
		if line := h.next(); idOf(line) != "2" || !strings.Contains(line, `"result"`) {
			t.Error(line)
		}
		_ = h.end()
		if s.count("POST private/one") != 1 || s.count("POST notifications/cancelled") != 0 || a.questions() != 1 {
			t.Errorf("%d questions, %v", a.questions(), s.requests())
		}
	})
}

// A token goes to no other origin, and stands in no error and no log.
func TestTokenStaysAtTheOrigin(t *testing.T) {
	t.Parallel()
	for _, to := range []string{
		"https://other.example/mcp", "http://mcp.example/mcp", "https://mcp.example:8443/mcp",
		"https://mcp.example@other.example/", "//other.example/mcp",
	} {
		t.Run(to, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := &server{handle: func(r *http.Request, _ string) reply {
					if r.URL.Scheme+"://"+r.URL.Host != "https://mcp.example" {
						t.Errorf("%s was asked, with %q", r.URL, r.Header.Get("Authorization"))
					}
					return reply{status: 307, header: http.Header{"Location": {to}}}
				}}
				h := start(t, s, mcp.Config{Authorizer: &authorizer{token: theToken}, URL: serverURL + "?key=hush"})
				h.send(call("1", "x"))
				if line := h.next(); !strings.Contains(line, `"code":-32012`) || strings.Contains(line, theToken+"|hush") {
					t.Error(line)
				}
				_ = h.end()
				if strings.Contains(h.logs.String(), theToken) {
					t.Error(h.logs)
				}
			})
		})
	}
	t.Run("the same origin", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &server{handle: func(r *http.Request, body string) reply {
				if r.URL.Path == "/mcp" {
					return reply{status: 307, header: http.Header{"Location": {"https://MCP.example:443/mcp/"}}}
				}
				if r.Header.Get("Authorization") != "Bearer "+theToken {
					t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
				}
				return result(body, "{}")
			}}
			h := start(t, s, mcp.Config{Authorizer: &authorizer{token: theToken}})
			h.send(call("1", "x"))
			if line := h.next(); !strings.Contains(line, `"result"`) {
				t.Error(line)
			}
			_ = h.end()
		})
	})
	t.Run("round and round", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &server{handle: func(*http.Request, string) reply {
				return reply{status: 307, header: http.Header{"Location": {"/mcp"}}}
			}}
			h := start(t, s, mcp.Config{})
			h.send(call("1", "x"))
			if line := h.next(); !strings.Contains(line, `"code":-32012`) || len(s.requests()) > 7 {
				t.Errorf("%d requests: %s", len(s.requests()), line)
			}
			_ = h.end()
		})
	})
	t.Run("hung up", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &server{handle: func(*http.Request, string) reply { return reply{status: -1} }}
			h := start(t, s, mcp.Config{Authorizer: &authorizer{token: theToken}, URL: serverURL + "?key=hush"})
			h.send(call("1", "x"))
			if line := h.next(); strings.Contains(line, "hush") || !strings.Contains(line, "connection reset") {
				t.Error(line)
			}
			_ = h.end()
		})
	})
}

// The stream for what the server sends by itself asks nobody to log in, for nobody waits for it. It is opened again
// when the host has used a token that the server takes.
func TestListeningAsksNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := &authorizer{ask: func(_ context.Context, a *authorizer, _ int) error { a.set(theToken); return nil }}
		opened := make(chan struct{}, 1)
		s := withSession(func(r *http.Request, body string) reply {
			private := methodOf(body) == "private" || r.Method == http.MethodGet
			switch {
			case private && r.Header.Get("Authorization") == "":
				return reply{status: 401}
			case r.Method == http.MethodGet:
				opened <- struct{}{}
				return stream("data: {\"method\":\"notifications/x\"}\n\nretry: 3600000\n\n")
			}
			return reply{}
		})
		h := start(t, s, mcp.Config{Authorizer: a})
		h.begin()
		synctest.Wait()
		if a.questions() != 0 || s.count("GET") != 1 {
			t.Errorf("%d questions, %v", a.questions(), s.requests())
		}
		h.send(call("1", "private"))
		got := []string{methodOf(h.next()), methodOf(h.next())}
		if slices.Sort(got); !slices.Equal(got, []string{"", "notifications/x"}) || a.questions() != 1 {
			t.Errorf("%v, %d questions", got, a.questions())
		}
		<-opened
		_ = h.end()
	})
}
