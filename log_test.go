package main

import (
	"bufio"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// log --follow shows what other processes do meanwhile, and Ctrl-C ends it well.
func TestLogFollow(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	cmd := h.Command(t.Context(), "log", "--follow", "-n", "1")
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	shown := bufio.NewReader(stdout)
	wants := func(part string) {
		t.Helper()
		if line, err := shown.ReadString('\n'); err != nil || !strings.Contains(line, part) {
			t.Errorf("%q, %v", line, err)
		}
	}
	wants(" logged in at ")
	h.Must("token")
	wants(" access token to loopkey token")
	h.Must("logout", "--local")
	wants(" logged out at ")
	if runtime.GOOS == "windows" { // Ctrl-C is for a whole console there
		return
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
