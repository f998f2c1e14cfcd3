package clipboard

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/part"
)

// stand stands for a program: its clipboard is a file. It notes its arguments. PASTES and CLEARS are what those look
// like when it pastes and clears, UNKNOWN when it refuses them and IGNORED when it does nothing, END is what it adds.
const stand = `#!/bin/sh
echo "$*" >>"$BOARD.args"
case "$*" in
UNKNOWN) exit 1 ;;
IGNORED) ;;
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
		unknown        string // a pattern of arguments that the program refuses
		given          string // the arguments with which it copies
		ignored        string // a pattern of arguments with which it does nothing; "": none
	}{
		"Wayland": {
			[]string{"WAYLAND_DISPLAY=w", "DISPLAY=:0"}, "wl-copy", "wl-paste xclip", "--no-newline", "--clear", "",
			"never", "--type text/plain --sensitive", "",
		},
		"Wayland, before wl-clipboard 2.3": {
			[]string{"WAYLAND_DISPLAY=w"}, "wl-copy", "wl-paste", "--no-newline", "--clear", "",
			"*--sensitive", "--type text/plain", "",
		},
		"Wayland, in Weston": {
			[]string{"WAYLAND_DISPLAY=w"}, "wl-copy", "wl-paste", "--no-newline", "never", "",
			"never", "--type text/plain --sensitive", "--clear",
		},
		"X11": {
			[]string{"DISPLAY=:0"}, "xclip", "wl-copy xsel", "*-out", "never", "", "never", "-selection clipboard -in", "",
		},
		"X11 with xsel": {
			[]string{"DISPLAY=:0"}, "xsel", "wl-copy", "*--output", "*--clear", "", "never", "--clipboard --input", "",
		},
		"WSL": {
			[]string{"WSL_INTEROP=x"}, "clip.exe", "powershell.exe xclip", "*Get-Clipboard*", "never", "\r\n", "never", "", "",
		},
		"WSLg, no interop": {
			[]string{"WSL_INTEROP=x", "DISPLAY=:0"}, "xclip", "", "*-out", "never", "", "never", "-selection clipboard -in", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, board := t.TempDir(), filepath.Join(t.TempDir(), "board")
			text := strings.NewReplacer("PASTES", c.pastes, "CLEARS", c.clears, "END", c.end,
				"UNKNOWN", c.unknown, "IGNORED", cmp.Or(c.ignored, "never")).Replace(stand)
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
			args, err := os.ReadFile(board + ".args")
			calls := strings.Split(strings.TrimSuffix(string(args), "\n"), "\n")
			if err != nil || calls[len(calls)-1] != c.given {
				t.Errorf("it was copied by %q: %v", calls, err)
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

// A kill between any two programs leaves no copy in tmux: here the first one is the last that runs.
func TestKilledBesideTmux(t *testing.T) {
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		part.Missing(t, "tmux is not installed")
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	run := func(args ...string) string {
		args = append([]string{"-S", socket, "-f", "/dev/null"}, args...)
		out, err := exec.CommandContext(t.Context(), tmux, args...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return string(out)
	}
	run("new-session", "-d", "cat")
	t.Cleanup(func() {
		_ = exec.Command(tmux, "-S", socket, "kill-server").Run() //nolint:noctx // the test's has ended
	})
	once := "#!/bin/sh\n[ -e " + dir + "/ran ] && exit 1\n: >" + dir + "/ran\nexec " + tmux + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "tmux"), []byte(once), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	err = CopyByTmux(t.Context(), []string{"TMUX=" + socket + ",1,0"}, "hush")
	if left := run("list-buffers"); err != nil || left != "" {
		t.Errorf("%v; tmux has %q", err, left)
	}
}
