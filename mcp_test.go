package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
)

// Ten bridges that an editor starts at once open one tab and make one login. When the server refuses their token, they
// make one refresh request; when it has expired, one again.
func TestMCPTenBridges(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	hosts := make([]*mcpHost, 10)
	all := func(method string) {
		t.Helper()
		var running sync.WaitGroup
		for _, h := range hosts {
			running.Go(func() { h.want(method) })
		}
		running.Wait()
	}
	for i := range hosts {
		hosts[i] = s.host(t)
	}
	all("initialize")
	if tabs, tokens := s.opened(t), s.tenant.Requests("token"); tabs != 1 || tokens != 1 {
		t.Errorf("%d tabs, %d token requests", tabs, tokens)
	}
	if registrations := s.tenant.Requests("register"); registrations != 1 {
		t.Errorf("%d registrations", registrations)
	}
	s.tenant.Reset()
	s.refuse(s.last())
	all("tools/list")
	if got := s.tenant.Requests("token"); got != 1 {
		t.Errorf("%d refresh requests for a refused token", got)
	}
	s.refuse(s.last())
	s.tenant.SetAccessTokenLifetime(20 * time.Second) // as good as expired
	hosts[0].want("tools/list")
	s.tenant.SetAccessTokenLifetime(time.Hour)
	s.tenant.Reset()
	all("tools/list")
	if got := s.tenant.Requests("token"); got != 1 {
		t.Errorf("%d refresh requests for an expired token", got)
	}
	if tabs, reused := s.opened(t), s.tenant.ReusedFamilies(); tabs != 1 || reused != 0 {
		t.Errorf("%d tabs, %d families revoked", tabs, reused)
	}
	for _, h := range hosts {
		h.end()
		if h.stderr.Len() != 0 {
			t.Errorf("stderr: %s", h.stderr)
		}
	}
	s.host(t).want("initialize") // a later start needs no login
	if tabs := s.opened(t); tabs != 1 {
		t.Errorf("%d tabs", tabs)
	}
}

// The lines in docs/tools/mcp.md are what a host runs.
func TestMCPLines(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(readText(t, "docs", "tools", "mcp.md"))
	if block == nil {
		t.Fatal("there are no lines")
	}
	var lines struct {
		Servers map[string]struct {
			Command string
			Args    []string
		} `json:"mcpServers"`
	}
	if err := json.Unmarshal([]byte(block[1]), &lines); err != nil {
		t.Fatal(err)
	}
	acme := lines.Servers["acme"]
	if acme.Command != "loopkey" || len(acme.Args) != 2 || acme.Args[0] != "mcp" || acme.Args[1] != docsServer {
		t.Errorf("the lines run %+v", acme)
	}
	if !strings.Contains(readText(t, "README.md"), docsServer) {
		t.Error("the README has other lines")
	}
	startMCP(t).host(t).want("initialize") // loopkey mcp URL, and nothing else
}

const docsServer = "https://mcp.acme.example/mcp"

// Nobody looks: however often the host starts the bridge, one tab is opened, and the errors name the command.
func TestMCPNobodyLooks(t *testing.T) {
	t.Parallel()
	s := startMCP(t, "VISIT=deny")
	for range 3 {
		h := s.host(t)
		if got := h.call("initialize").Error.Message; !strings.Contains(got, "loopkey mcp login "+s.address()) {
			t.Errorf("the error is %q", got)
		}
		h.end()
	}
	if tabs := s.opened(t); tabs != 1 {
		t.Errorf("%d tabs", tabs)
	}
	s.house = s.house.With("VISIT=")
	s.house.Must("mcp", "login", s.address())
	s.host(t).want("initialize")
	if tabs := s.opened(t); tabs != 2 {
		t.Errorf("%d tabs with the login at the terminal", tabs)
	}
}

// A server that wants another scope gets it by a login for the scope of before and the new one, once.
func TestMCPStepUp(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	h := s.host(t)
	h.want("initialize")
	h.want("write")
	if tabs := s.opened(t); tabs != 2 {
		t.Errorf("%d tabs, with one for the step-up", tabs)
	}
	if _, scopes := claimsOf(t, s.last()); scopes != "mcp:read mcp:write offline_access" {
		t.Errorf("the scope is %q", scopes)
	}
	h.want("tools/list")
	if tabs := s.opened(t); tabs != 2 {
		t.Errorf("%d tabs", tabs)
	}
}

// A server that wants another authentication gets it by a login that asks for it, with the scopes of before, once.
func TestMCPAuthentication(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	h := s.host(t)
	h.want("initialize")
	h.want("write")
	h.want("pay")
	h.want("write")
	if tabs := s.opened(t); tabs != 3 {
		t.Errorf("%d tabs", tabs)
	}
}

// A server that no login satisfies gets one, though it asks for another authentication each time.
func TestMCPAuthenticationRefused(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	h := s.host(t)
	h.want("initialize")
	h.call("never") // its login is made, and does not help
	for range 3 {
		if got := h.call("never").Error.Message; !strings.Contains(got, "another authentication than the login made") {
			t.Errorf("the error is %q", got)
		}
	}
	if tabs := s.opened(t); tabs != 2 {
		t.Errorf("%d tabs for what no login meets", tabs)
	}
}

// A server that can't be reached keeps the session, fails the request and opens no tab.
func TestMCPUnreachable(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	h := s.host(t)
	h.want("initialize")
	s.refuse(s.last())
	s.tenant.Fail("token", http.StatusServiceUnavailable)
	if got := h.call("tools/list").Error.Message; !strings.Contains(got, "can't be reached") {
		t.Errorf("the error is %q", got)
	}
	s.tenant.Fail("token", 0)
	h.want("tools/list")
	if tabs := s.opened(t); tabs != 1 {
		t.Errorf("%d tabs", tabs)
	}
}

// A session that has ended at the authorization server is followed by a login, and a client that it forgot by another
// registration.
func TestMCPForgotten(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	h := s.host(t)
	h.want("initialize")
	s.tenant.RevokeAll("ada")
	s.refuse(s.last())
	h.want("tools/list")
	if tabs, registrations := s.opened(t), s.tenant.Requests("register"); tabs != 2 || registrations != 1 {
		t.Errorf("%d tabs, %d registrations after the session had ended", tabs, registrations)
	}
	s.tenant.ForgetClients()
	s.refuse(s.last())
	h.want("tools/list")
	if tabs, registrations := s.opened(t), s.tenant.Requests("register"); tabs != 3 || registrations != 2 {
		t.Errorf("%d tabs, %d registrations after the client was forgotten", tabs, registrations)
	}
}

// With --no-browser, and for a server whose metadata is not to be believed, no tab is opened.
func TestMCPNoTab(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		change func(s *mcpServer)
		says   string
	}{
		"no browser": {[]string{"--no-browser"}, nil, "run loopkey mcp login http://127.0.0.1:"},
		"another resource": {
			nil, func(s *mcpServer) { s.resource("resource", "https://other.example/mcp") }, "other.example",
		},
		"the sibling": {nil, func(s *mcpServer) { s.resource("resource", s.URL+"/mc") }, "refused"},
		"a remote plain issuer": {
			nil, func(s *mcpServer) { s.resource("authorization_servers", []string{"http://as.example"}) }, "not https",
		},
		"another issuer": {
			nil, func(s *mcpServer) { s.discovery(map[string]any{"issuer": "https://other.example"}) }, "issuer",
		},
		"no S256": {
			nil, func(s *mcpServer) { s.discovery(map[string]any{"code_challenge_methods_supported": nil}) }, "S256",
		},
		"no registration": {
			nil, func(s *mcpServer) { s.discovery(map[string]any{"registration_endpoint": nil}) }, "--client-id",
		},
		"a failing authorization server": {
			nil, func(s *mcpServer) { s.tenant.Fail("discovery", http.StatusBadGateway) }, "can't be reached",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startMCP(t)
			if c.change != nil {
				c.change(s)
			}
			if got := s.host(t, c.args...).call("initialize").Error.Message; !strings.Contains(got, c.says) {
				t.Errorf("the error is %q, without %q", got, c.says)
			}
			if tabs := s.opened(t); tabs != 0 {
				t.Errorf("%d tabs", tabs)
			}
		})
	}
}

// The host ends the bridge while the person is logging in: the login comes to its end, and the next bridge has it.
func TestMCPHostGivesUp(t *testing.T) {
	t.Parallel()
	s := startMCP(t, "NOBODY=1")
	h := s.host(t)
	if _, err := fmt.Fprintln(h.in, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`); err != nil {
		t.Fatal(err)
	}
	target := s.tab(t)
	h.end()
	visit, err := tenant.Person{Email: email, Password: password}.Visit(t.Context(), target)
	if err != nil || !strings.Contains(visit.Body, "You are logged in") {
		t.Fatalf("the page is %+v, %v", visit, err)
	}
	s.host(t).want("initialize")
	if tabs := s.opened(t); tabs != 1 {
		t.Errorf("%d tabs", tabs)
	}
}

// status --all and logout --all include the sessions with MCP servers; mcp logout ends the one.
func TestMCPSessions(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	h := s.house
	if r := h.Run("status", "--all"); r.Code != 3 || r.Stdout != "" {
		t.Errorf("exit %d: %s", r.Code, r.Stdout)
	}
	h.Must("mcp", "login", s.address())
	if text := h.Must("status", "--all"); !strings.Contains(text, s.address()) || strings.Contains(text, "Subject") {
		t.Errorf("status --all: %s", text)
	}
	var documents []map[string]any
	if err := json.Unmarshal([]byte(h.Must("status", "--all", "-o", "json")), &documents); err != nil ||
		len(documents) != 1 || documents[0]["mcp_server"] != s.address() || documents[0]["issuer"] != s.tenant.Issuer() {
		t.Errorf("status --all -o json: %v, %v", documents, err)
	}
	for _, logout := range [][]string{{"mcp", "logout", s.address()}, {"logout", "--all"}} {
		h.Must("mcp", "login", s.address())
		s.tenant.Reset()
		r := h.Run(logout...)
		if r.Code != 0 || !strings.Contains(r.Stderr, "refresh token revoked") || s.tenant.Requests("revoke") != 1 {
			t.Errorf("%v exits %d: %s", logout, r.Code, r.Stderr)
		}
		if r := h.Run("status", "--all"); r.Code != 3 {
			t.Errorf("after %v: %s", logout, r.Stdout)
		}
	}
	if r := h.Run("mcp", "logout", s.address()); r.Code != 0 || !strings.Contains(r.Stderr, "Nobody was logged in") {
		t.Errorf("a second logout exits %d: %s", r.Code, r.Stderr)
	}
}
