package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// The launchers of Windows cut long URLs. Under WSL the browser is given a short one that leads there, also by the
// server that holds the port, and the terminal shows the long one.
func TestLongURL(t *testing.T) {
	t.Parallel()
	for _, served := range []bool{false, true} {
		h := house.WithTenant(t, "WSL_INTEROP=/run/x")
		script, opened := filepath.Join(h.Dir, "browser"), filepath.Join(h.Dir, "opened")
		text := "#!/bin/sh\nprintf %s \"$1\" >'" + opened + "'\nexec '" + house.Visitor(t) + "' \"$1\"\n"
		if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		if served {
			h.Serve()
		}
		r := h.With("BROWSER="+script).Run("login", "--param", "x="+strings.Repeat("a", 2000))
		if r.Code != 0 || !strings.Contains(r.Stderr, strings.Repeat("a", 2000)) {
			t.Errorf("exit %d: %s", r.Code, r.Stderr)
		}
		target, err := os.ReadFile(opened)
		if err != nil || len(target) > 100 || !strings.HasPrefix(string(target), h.Base+"/go/") {
			t.Errorf("the browser is given %s, %v", target, err)
		}
	}
}
