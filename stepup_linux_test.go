package main

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// At a terminal a token for another authentication costs one trip of the browser, also through the loopkey serve that
// holds the port, and then none. The session's own token stays.
func TestStepUpAtTerminal(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "TERM=xterm")
	h.Configure(h.Tenant.Issuer(), "", "[[profile.default.hosts]]", `host = "api.example.com"`, `acr_values = "proxied"`)
	h.Must("login")
	own := h.Must("token")
	trip := func(args ...string) {
		t.Helper()
		h.Tenant.Reset()
		p := pty.Start(t, h.Command(t.Context(), args...))
		p.Expect("The token needs an authentication of the kind (acr)")
		p.Expect("Opening your browser")
		if code := p.Exit(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		if n := h.Tenant.Requests("token"); n != 1 { // of the code
			t.Errorf("%d token requests", n)
		}
		token := h.Must(args...)
		if !strings.Contains(p.Screen(), strings.TrimSpace(token)) || token == own {
			t.Error("the token that was shown is not the one that is kept, or it is the session's")
		}
		if n := h.Tenant.Requests("token"); n != 1 {
			t.Errorf("what is kept costs %d token requests", n-1)
		}
	}
	trip("token", "--acr", "mfa")
	h.Serve()
	trip("token", "--challenge", `Bearer error="insufficient_user_authentication", acr_values="hw", max_age="600"`)

	h.Tenant.Reset()
	for command, want := range map[string]string{
		"status": "Step-up       hw, authenticated ", "sessions": "\n    step-up mfa, authenticated ",
		"status -o json":   `"acr": "mfa"`,
		"sessions -o json": `"auth_time": "2`,
	} {
		if shown := h.Must(strings.Fields(command)...); !strings.Contains(shown, want) || strings.Contains(shown, "eyJ") {
			t.Errorf("loopkey %s shows %s", command, shown)
		}
	}

	// Every command that hands a token to the person makes that trip, and the next one makes none.
	begin := func(args ...string) *pty.Terminal {
		t.Helper()
		h.Tenant.Reset()
		p := pty.Start(t, h.Command(t.Context(), args...))
		p.Expect("The token needs an authentication of the kind (acr)")
		return p
	}
	ended := func(p *pty.Terminal, want func() string) {
		t.Helper()
		if code, want := p.Exit(), want(); code != 0 || !strings.Contains(p.Screen(), want) {
			t.Errorf("exit code %d, and the screen shows %q", code, p.Screen())
		}
		if n := h.Tenant.Requests("token"); n != 1 {
			t.Errorf("%d token requests", n)
		}
	}
	p := begin("exec", "--acr", "exec", "--", "sh", "-c", `echo child; read line; echo "$line ${ACCESS_TOKEN%.*}"`)
	p.Expect("child")
	p.Type("typed\n")                   // the login reads the terminal no longer
	signed := func(acr string) string { // a token up to its signature
		token := h.Must("token", "--acr", acr)
		return token[:strings.LastIndex(token, ".")]
	}
	ended(p, func() string { return "typed " + signed("exec") })
	p = begin("env", "--challenge", `Bearer error="insufficient_user_authentication", acr_values="env"`, "--force")
	ended(p, func() string { return "export ACCESS_TOKEN=" + signed("env") })
	p = begin("proxy", "--to", "https://api.example.com")
	p.Expect("Requests to that address go on")
	p.Type("\x03")
	ended(p, func() string { return "http://loopkey:" })
	if h.Must("token") != own {
		t.Error("the session has another token than before")
	}
	h.Must("logout", "--no-browser")
	house.Refused(t, h.Run("token", "--acr", "mfa"), 3, "loopkey login")
	if n := h.Tenant.Requests("revoke"); n != 6 {
		t.Errorf("%d revocations", n)
	}
}
