package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// advisedLine finds the command line that an advice ends with.
func advisedLine(t *testing.T, said string) []string {
	t.Helper()
	found := regexp.MustCompile(`(?:run|mean) (loopkey [^;\n]*?)(?: again| for |, or|\?|;|$)`).
		FindAllStringSubmatch(strings.TrimSpace(said), -1)
	if found == nil {
		t.Fatalf("no line to run in %q", said)
	}
	// A shell splits it as a person's does.
	out, err := exec.CommandContext(t.Context(), "sh", "-c",
		`loopkey() { for word; do printf '%s\n' "$word"; done; }; `+found[len(found)-1][1]).Output()
	if err != nil {
		if runtime.GOOS == "windows" {
			t.Skipf("no shell: %v", err)
		}
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// in runs loopkey in a folder.
func in(t *testing.T, h *house.House, dir string, args ...string) house.Result {
	t.Helper()
	cmd := h.Command(t.Context(), args...)
	cmd.Dir = dir
	return h.Finish(cmd)
}

// Advice is the next command: run as it stands, it does what it promises, until the first command works.
func TestAdviceIsRun(t *testing.T) {
	t.Parallel()
	const foreign = "AUTH0_DOMAIN=foreign.example.com\nAUTH0_CLIENT_ID=theirs\n"
	for name, c := range map[string]struct {
		prepare func(h *house.House, dir string)
		args    []string
		says    []string // of the first advice
		steps   int      // lines that are run before the command works
	}{
		"a profile": {
			args:  []string{"token", "-p", "work"},
			says:  []string{`"work": nobody is logged in: run loopkey login -p work`},
			steps: 1,
		},
		"profiles and none is chosen": {
			prepare: func(h *house.House, _ string) { withoutDefault(h) },
			args:    []string{"token"}, says: []string{"profiles work: run loopkey token -p work"}, steps: 2,
		},
		"a profile that is misspelt": {
			args: []string{"token", "-p", "worc"}, says: []string{"did you mean loopkey token -p work?"}, steps: 2,
		},
		"another tenant's .env": {
			prepare: func(h *house.House, dir string) {
				h.Must("login")
				_ = os.WriteFile(filepath.Join(dir, ".env"), []byte(foreign), 0o600)
			},
			args: []string{"token"},
			says: []string{
				"https://foreign.example.com/", "./.env names", "run loopkey login;", "run loopkey token --issuer http://127",
			},
			steps: 1,
		},
		"a login of which the configuration says nothing": {
			prepare: func(h *house.House, _ string) {
				h.Must("login")
				h.Tenant.RevokeAll("ada")
				_ = os.WriteFile(filepath.Join(h.Dir, "config.toml"), []byte("# nothing\n"), 0o600)
			},
			args: []string{"token", "--force-refresh"},
			says: []string{"no longer accepts", "run loopkey login --issuer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t)
			work, _ := os.ReadFile(filepath.Join(h.Dir, "config.toml"))
			text := string(work) + strings.Replace(string(work), "[profile.default]", "[profile.work]", 1)
			if err := os.WriteFile(filepath.Join(h.Dir, "config.toml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if c.prepare != nil {
				c.prepare(h, dir)
			}
			r := in(t, h, dir, c.args...)
			for _, part := range c.says {
				if !strings.Contains(r.Stderr, part) {
					t.Errorf("%q is not in %s", part, r.Stderr)
				}
			}
			for range c.steps {
				if r.Code == 0 {
					t.Fatal("it works already")
				}
				line := advisedLine(t, r.Stderr)
				if next := in(t, h, dir, line...); next.Code != 0 {
					r = next
					continue
				}
				r = in(t, h, dir, append([]string{"token"}, profileOf(line)...)...)
			}
			if c.steps > 0 && r.Code != 0 {
				t.Errorf("after %d steps: exit %d: %s", c.steps, r.Code, r.Stderr)
			}
		})
	}
}

// profileOf returns the flags of a line that name a session.
func profileOf(line []string) []string {
	var flags []string
	for i, word := range line {
		if (word == "-p" || word == "--issuer" || word == "--client-id") && i+1 < len(line) {
			flags = append(flags, word, line[i+1])
		}
	}
	return flags
}

// withoutDefault leaves the profile work alone in config.toml.
func withoutDefault(h *house.House) {
	path := filepath.Join(h.Dir, "config.toml")
	text, _ := os.ReadFile(path)
	_, rest, _ := strings.Cut(string(text), "[profile.work]")
	_ = os.WriteFile(path, []byte("[profile.work]"+rest), 0o600)
}

// An issuer that nobody can reach is named with its source, and a session is kept only where there is one.
func TestAdviceAboutUnknownHost(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	r := h.Run("login", "--issuer", "http://127.0.0.1:1", "--client-id", "x")
	if r.Code != 1 || strings.Contains(r.Stderr, "session is kept") ||
		!strings.Contains(r.Stderr, "check the issuer http://127.0.0.1:1 (flag --issuer)") {
		t.Errorf("login at an unknown host exits %d: %s", r.Code, r.Stderr)
	}
	h.Must("login")
	h.Tenant.Close()
	if r := h.Run("token", "--force-refresh"); r.Code != 1 || !strings.Contains(r.Stderr, "the session is kept") {
		t.Errorf("token exits %d: %s", r.Code, r.Stderr)
	}
}

// What was misspelt is named as it may have been meant.
func TestDidYouMean(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	for args, want := range map[string]string{
		"statsu": "loopkey status?", "whoam": "loopkey whoami?", "logn": "loopkey login?", "sever": "loopkey serve?",
		"help whoan": "loopkey whoami?", "token --audienze x": "--audience?", "login --no-browsr": "--no-browser?",
		"login --devise": "--device?", "token --qqqqqqq": "see loopkey token --help",
	} {
		r := h.Run(strings.Fields(args)...)
		if r.Code != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d: %s", args, r.Code, r.Stderr)
		}
	}
}
