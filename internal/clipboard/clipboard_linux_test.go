package clipboard

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stand stands for a program: its clipboard is a file. It notes its arguments. PASTES and CLEARS are what those look
// like when it pastes and clears, END is what it adds.
const stand = `#!/bin/sh
echo "$*" >>"$BOARD.args"
case "$*" in
PASTES) cat "$BOARD"; printf 'END' ;;
CLEARS) : >"$BOARD" ;;
*) cat >"$BOARD" ;;
esac
`

// Each clipboard gets a text through a pipe alone, and loses it only where it still holds it.
func TestPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		env            []string
		copies, others string // programs
		pastes, clears string // patterns of arguments
		end            string // what the program adds
	}{
		"Wayland": {
			[]string{"WAYLAND_DISPLAY=w", "DISPLAY=:0"}, "wl-copy", "wl-paste xclip", "--no-newline", "--clear", "",
		},
		"X11":           {[]string{"DISPLAY=:0"}, "xclip", "wl-copy xsel", "*-out", "never", ""},
		"X11 with xsel": {[]string{"DISPLAY=:0"}, "xsel", "wl-copy", "*--output", "*--clear", ""},
		"WSL": {
			[]string{"WSL_INTEROP=x"}, "clip.exe", "powershell.exe xclip", "*Get-Clipboard*", "never", "\r\n",
		},
		"WSLg, no interop": {[]string{"WSL_INTEROP=x", "DISPLAY=:0"}, "xclip", "", "*-out", "never", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, board := t.TempDir(), filepath.Join(t.TempDir(), "board")
			text := strings.NewReplacer("PASTES", c.pastes, "CLEARS", c.clears, "END", c.end).Replace(stand)
			for _, program := range append(strings.Fields(c.others), c.copies) {
				if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("PATH", dir)
			found, err := Find(append(c.env, "BOARD="+board, "PATH=/usr/bin:/bin"))
			if err != nil || found.Name() != c.copies {
				t.Fatalf("%v, %v", found, err)
			}
			held := func() string { text, _ := os.ReadFile(board); return string(text) }
			if err := found.Copy(t.Context(), "hush"); err != nil || held() != "hush" {
				t.Errorf("it holds %q: %v", held(), err)
			}
			if cleared, err := found.Clear(t.Context(), "else"); cleared || err != nil || held() != "hush" {
				t.Errorf("with another text: %v, %v; it holds %q", cleared, err, held())
			}
			if cleared, err := found.Clear(t.Context(), "hush"); !cleared || err != nil || held() != "" {
				t.Errorf("with the text: %v, %v; it holds %q", cleared, err, held())
			}
			if args, err := os.ReadFile(board + ".args"); err != nil || strings.Contains(string(args), "hush") {
				t.Errorf("its arguments: %q, %v", args, err)
			}
		})
	}
	for name, env := range map[string][]string{"no desktop": nil, "no program": {"DISPLAY=:0"}} {
		t.Setenv("PATH", t.TempDir())
		if _, err := Find(env); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CopyByTmux(t.Context(), nil, "hush"); !errors.Is(err, ErrNone) {
		t.Errorf("outside of tmux: %v", err)
	}
}
