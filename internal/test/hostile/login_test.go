package hostile

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A program that writes endlessly to the stdin of a login does not fill the terminal.
func TestPastedWithoutEnd(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, "login", "--no-browser", "--timeout", "2s")
	cmd.Stdin = strings.NewReader(strings.Repeat("y\n", 1<<20))
	r := h.Finish(cmd)
	house.Refused(t, r, 1, "timeout")
	got, ends := strings.Count(r.Stderr, "Not that one"), strings.Count(r.Stderr, "says no more about wrong lines")
	if got != 9 || ends != 1 || len(r.Stderr) > 4096 {
		t.Errorf("%d times \"Not that one\", %d bytes: %.4096s", got, len(r.Stderr), r.Stderr)
	}
}

// By a clock that is far ahead, a new access token has already expired. The login stands, and names the clock.
func TestLoginByAClockAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	over := forge.RS256().Token(map[string]any{"aud": "api", "exp": ago(30 * time.Minute)})
	w.Lie(Lies{Token: set("access_token", over), Claims: without("at_hash")})
	r := w.machine(t).run(t, "login")
	if r.Code != 0 || !strings.Contains(r.Stderr, "the clock is ahead of the provider's, so set it") ||
		strings.Contains(r.Stderr, "ago)") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
}
