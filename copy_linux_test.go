package main

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// xclip stands for the program of that name, without a display: its clipboard is a file. It notes its arguments.
const xclip = `#!/bin/sh
echo "$*" >>"$CLIPBOARD.args"
case "$*" in
*-out) cat "$CLIPBOARD" ;;
*) cat >"$CLIPBOARD" ;;
esac
`

// A token is copied through pipes alone, and is taken out again only where it still is.
func TestCopy(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	if r := h.Run("token", "--copy"); r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "xclip") {
		t.Errorf("without a clipboard: %+v", r)
	}
	if log := h.Must("log"); strings.Contains(log, "--copy") {
		t.Errorf("what was not copied is noted as handed out: %s", log)
	}
	bin, board := t.TempDir(), filepath.Join(t.TempDir(), "clipboard")
	if err := os.WriteFile(filepath.Join(bin, "xclip"), []byte(xclip), 0o700); err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(h.Must("token"))
	there := h.With("PATH="+bin+":"+os.Getenv("PATH"), "DISPLAY=:9", "CLIPBOARD="+board)
	r := there.Run("token", "--copy")
	if r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "for 45 seconds") {
		t.Errorf("%+v", r)
	}
	held := func() string { text, _ := os.ReadFile(board); return string(text) }
	if held() != token {
		t.Errorf("the clipboard holds %q", held())
	}
	clear := func() {
		t.Helper()
		cmd := there.Command(t.Context(), "clear-clipboard")
		cmd.Stdin = strings.NewReader(token)
		if r := there.Finish(cmd); r.Code != 0 {
			t.Errorf("%+v", r)
		}
	}
	clear()
	if held() != "" {
		t.Errorf("the clipboard still holds %q", held())
	}
	if err := os.WriteFile(board, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	clear()
	if held() != "something else" {
		t.Errorf("what was copied since is gone: %q", held())
	}
	if args, err := os.ReadFile(board + ".args"); err != nil || strings.Contains(string(args), token[:20]) {
		t.Errorf("%v, or the token is in the arguments", err)
	}

	// Over SSH the terminal is asked, and no program of the machine that is far away.
	remote := pty.Start(t, there.With("SSH_TTY=/dev/pts/0").Command(t.Context(), "token", "--copy"))
	sent := "52;c;" + base64.StdEncoding.EncodeToString([]byte(token))
	if code := remote.Exit(); code != 0 || !strings.Contains(remote.Screen(), sent) || held() != "something else" {
		t.Errorf("over SSH: exit code %d, and the screen shows %q", code, remote.Screen())
	}
}

// In tmux over SSH the token comes into the clipboard of the terminal around tmux, and tmux keeps no copy.
func TestCopyByTmux(t *testing.T) {
	t.Parallel()
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		part.Missing(t, "tmux is not installed")
	}
	h := house.WithTenant(t)
	h.Must("login")
	token := strings.TrimSpace(h.Must("token"))
	socket := filepath.Join(h.Dir, "tmux")
	inside := h.Command(t.Context(), "token", "--copy")
	script := `bin=$1; shift; "$bin" "$@"; echo "exit code $?; buffers: $(tmux list-buffers | wc -l)"; read line`
	self := filepath.Join(house.Programs(t), "loopkey")
	cmd := exec.CommandContext(t.Context(), tmux, "-S", socket, "-f", "/dev/null", "new-session",
		"sh", "-c", script, "sh", self, "token", "--copy")
	cmd.Dir = inside.Dir
	cmd.Env = append(inside.Env, "PATH="+os.Getenv("PATH"), "TERM=xterm-256color", "LC_ALL=C.UTF-8", "SSH_TTY=/dev/pts/0")
	p := pty.Start(t, cmd)
	p.Expect("]52;;" + base64.StdEncoding.EncodeToString([]byte(token)))
	p.Expect("exit code 0; buffers: 0")
	p.Type("\r")
	if code := p.Exit(); code != 0 {
		t.Errorf("tmux exits %d", code)
	}
}
