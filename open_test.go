package main

import (
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// loopkey open serves the pages where nobody does, and opens those of the loopkey serve that is running, whatever that
// shows.
func TestOpen(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	first := h.Start("open", "--no-browser").Line(t, h.Base+"/auth/enter?")
	again := h.Start("open", "--no-browser")
	second := again.Line(t, h.Base+"/auth/enter?")
	if code, rest := exit(t, again); code != 0 {
		t.Errorf("the second open exits %d: %s", code, rest)
	}
	for _, url := range []string{first, second} {
		if status, _, _ := get(t, newClient(t, true), url, "text/html"); status != 200 {
			t.Errorf("a one-time URL gets %d", status)
		}
	}
}
