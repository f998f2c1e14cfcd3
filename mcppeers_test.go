package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/mcpsdk"
	"github.com/loopkey/loopkey/internal/test/panva"
)

// visits has somebody visit each tab that is opened, until the test ends.
func (s *mcpServer) visits(t *testing.T, visit func(target string) error) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(done); <-ended })
	go func() {
		defer close(ended)
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for visited := 0; ; {
			select {
			case <-done:
				return
			case <-look.C:
			}
			text, _ := os.ReadFile(s.tabs) // none is there yet
			lines := strings.SplitAfter(string(text), "\n")
			for _, line := range lines[visited : len(lines)-1] {
				visited++
				if err := visit(strings.TrimSpace(line)); err != nil {
					t.Errorf("the browser: %v", err)
				}
			}
		}
	}()
}

// logOut logs out, which has to revoke the refresh token.
func (s *mcpServer) logOut(t *testing.T) {
	t.Helper()
	r := s.house.Run("mcp", "logout", s.address())
	if r.Code != 0 || !strings.Contains(r.Stderr, "refresh token revoked") {
		t.Errorf("the logout exits %d: %s", r.Code, r.Stderr)
	}
}

// ask sends a request, follows redirects and returns the body.
func ask(ctx context.Context, method, target string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req) //nolint:forbidigo // of a test
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
	}
	return string(body), err
}

// A certified provider that others wrote is the authorization server of an MCP server: a client is registered, the
// token is for the server, it is renewed and stepped up, and the logout revokes.
func TestMCPAtPanva(t *testing.T) {
	t.Parallel()
	s := startMCP(t, "NOBODY=1")
	as := panva.Start(t, panva.Options{Register: true, Resource: s.address()})
	s.mu.Lock()
	s.issuer, s.keys = as.Issuer, as.Issuer+"/jwks"
	s.mu.Unlock()
	s.visits(t, func(target string) error { return as.Browse(t.Context(), target) })
	s.house.Must("mcp", "login", s.address())
	h := s.host(t)
	h.want("initialize")
	first := s.last()
	s.refuse(first)
	h.want("tools/list")
	if tabs := s.opened(t); tabs != 1 || s.last() == first {
		t.Errorf("%d tabs for a login and a renewal", tabs)
	}
	h.want("write")
	audience, scope := claimsOf(t, s.last())
	if s.opened(t) != 2 || scope != "mcp:read mcp:write" || audience != s.address() {
		t.Errorf("%d tabs with the step-up; the scope is %q, the audience %q", s.opened(t), scope, audience)
	}
	h.end()
	s.logOut(t)
	if got := as.Requests(t); got["POST /reg"] != 1 || got["POST /token/revocation"] != 2 { // the step-up replaces a login
		t.Errorf("%d registrations, %d revocations", got["POST /reg"], got["POST /token/revocation"])
	}
}

// The authorization server of the reference SDK, with its own check of the token at its own MCP server.
func TestMCPAtSDK(t *testing.T) {
	t.Parallel()
	s := startMCP(t, "NOBODY=1")
	s.at = mcpsdk.Authorized(t)
	s.visits(t, func(target string) error {
		page, err := ask(t.Context(), http.MethodGet, target)
		if err == nil && !strings.Contains(page, "You are logged in") {
			err = errors.New(page)
		}
		return err
	})
	h := s.host(t)
	list := func() {
		t.Helper()
		if reply := h.call("tools/list"); reply.Result["tools"] == nil {
			t.Errorf("%+v; %s", reply, h.stderr)
		}
	}
	list()
	if _, err := ask(t.Context(), http.MethodPost, strings.TrimSuffix(s.at, "/mcp")+"/refuse"); err != nil {
		t.Fatal(err)
	}
	list()
	if tabs := s.opened(t); tabs != 1 {
		t.Errorf("%d tabs for a login and a renewal", tabs)
	}
	h.end()
	s.logOut(t)
	seen, err := ask(t.Context(), http.MethodGet, strings.TrimSuffix(s.at, "/mcp")+"/seen")
	var got map[string]int
	if err == nil {
		err = json.Unmarshal([]byte(seen), &got)
	}
	if err != nil || got["POST /register"] != 1 || got["POST /token"] != 2 || got["POST /revoke"] != 1 {
		t.Errorf("the authorization server got %v, %v", got, err)
	}
}
