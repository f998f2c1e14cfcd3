package main

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// loopkey env shows no token on a screen, unless it is told to.
func TestEnvAtATerminal(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	shown := pty.Start(t, h.Command(t.Context(), "env"))
	if code := shown.Exit(); code != 2 || strings.Contains(shown.Screen(), "eyJ") {
		t.Errorf("exit code %d, and the screen shows %q", code, shown.Screen())
	}
	forced := pty.Start(t, h.Command(t.Context(), "env", "--force"))
	if code := forced.Exit(); code != 0 || !strings.Contains(forced.Screen(), "export ACCESS_TOKEN=eyJ") {
		t.Errorf("with --force: exit code %d, and the screen shows %q", code, forced.Screen())
	}
}
