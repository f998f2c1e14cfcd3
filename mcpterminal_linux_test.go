package main

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// A person logs in to an MCP server at a terminal: in the browser that opens, or in one on another machine, whose last
// URL they paste. Bridges use that login.
func TestMCPLoginAtTerminal(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{"browser", "pasted"} {
		t.Run(flow, func(t *testing.T) {
			t.Parallel()
			s := startMCP(t, "TERM=xterm")
			args, tabs := []string{"mcp", "login", s.address()}, 1
			if flow == "pasted" {
				args, tabs = append(args, "--no-browser"), 0
			}
			p := pty.Start(t, s.house.Command(t.Context(), args...))
			if flow == "pasted" {
				issuer := strings.TrimSuffix(s.tenant.Issuer(), "/")
				p.Expect(issuer)
				target := issuer + strings.TrimSpace(p.Expect("\r\n"))
				p.Expect("Waiting for you")
				p.Type("http://localhost/auth/callback?code=mine\r")
				p.Expect("Not that one: ")
				end, err := tenant.Person{Email: email, Password: password, StopAt: s.house.Base}.Visit(t.Context(), target)
				if err != nil {
					t.Fatal(err)
				}
				p.Type(end.URL + "\r")
			}
			p.Expect("Logged in to " + s.address() + " at " + s.tenant.Issuer())
			if code := p.Exit(); code != 0 || !p.Echoes() {
				t.Errorf("it exits %d; the terminal echoes: %v", code, p.Echoes())
			}
			s.host(t).want("initialize")
			if got := s.opened(t); got != tabs {
				t.Errorf("%d tabs", got)
			}
		})
	}
}
