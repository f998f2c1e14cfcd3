package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// The demo says at once what it is, logs in by one click, shows the token and the line by which another terminal goes
// on, and ends by Ctrl-C with a good word. It is run as go run runs it: no loopkey is in PATH.
func TestDemoAtTerminal(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "loopkey")
	if err := os.Link(self, program); err != nil { // the folders may be on two file systems
		content, err := os.ReadFile(self)
		if err == nil {
			err = os.WriteFile(program, content, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "PATH=/usr/bin:/bin", "TERM=xterm", house.Race}
	demo := exec.CommandContext(t.Context(), program, "demo", "--no-browser")
	demo.Env = append(env, "APP_BASE_URL="+house.New(t, "https://unused.example").Base)
	p := pty.Start(t, demo)
	if first := p.Expect("\r\n"); !strings.HasPrefix(first, "This is a demo") {
		t.Errorf("the first line is %q", first)
	}
	p.Expect("press \"Continue as Ada Lovelace\":\r\n")
	start := strings.TrimSpace(p.Expect("\r\n"))
	if _, err := (tenant.Person{Email: "ada@demo.example"}).Visit(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	p.Expect("Logged in as Ada Lovelace")
	p.Expect("for the demo's API:\r\n")
	token := strings.TrimSpace(p.Expect("\r\n"))
	p.Expect("run there:\r\n")
	line := strings.TrimSpace(p.Expect("\r\n"))
	other := exec.CommandContext(t.Context(), "sh", "-c", line+"\nloopkey token")
	other.Env = env
	got, err := other.Output()
	if err != nil || strings.TrimSpace(string(got)) != token {
		t.Errorf("after %q another terminal gets the token %q (%v), not %q", line, got, err, token)
	}
	p.Expect("Ctrl-C ends the demo.")
	p.Type("\x03")
	p.Expect("The demo has ended, and nothing of it is left.")
	if code := p.Exit(); code != 0 {
		t.Errorf("the demo exits %d", code)
	}
}
