package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// A logout of all sessions ends each of them once, though some are ended at the same time, and shows how far it is.
func TestLogoutOfMany(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	var lines []string
	const many = 11
	for i := range many {
		lines = append(lines, fmt.Sprintf("[profile.p%d]\nissuer = %q\nclient_id = %q\nbase_url = %q\nkeystore = %q",
			i, h.Tenant.Issuer(), house.Client, h.Base, h.Keystore()))
	}
	h.Configure(h.Tenant.Issuer(), lines...)
	for i := range many {
		h.Must("login", "-p", fmt.Sprintf("p%d", i))
	}
	h.Tenant.Reset()
	p := pty.Start(t, h.With("TERM=xterm").Command(t.Context(), "logout", "--all", "--no-browser"))
	p.Expect("Logging out: 0 of 12 sessions") // with that of the default profile, if there were one
	if code := p.Exit(); code != 0 || strings.Count(p.Screen(), "refresh token revoked") != many {
		t.Errorf("exit %d: %s", code, p.Screen())
	}
	if got := h.Tenant.Requests("revoke"); got != many {
		t.Errorf("%d revocations", got)
	}
	if r := h.Run("logout", "--all", "--no-browser"); r.Code != 0 || !strings.Contains(r.Stderr, "Nobody was logged in") {
		t.Errorf("a second one: %s", r.Stderr)
	}
}
