package main

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
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
	return shellWords(t, strings.TrimPrefix(found[len(found)-1][1], "loopkey "))
}

// shellWords splits a line as a person's shell does.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c",
		`loopkey() { for word; do printf '%s\n' "$word"; done; }; loopkey `+line).Output()
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
			args:    []string{"token"}, says: []string{"the profile work: run loopkey token -p work"}, steps: 2,
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

// The line that a command says to run next has the profile and the flags that matter, and does what it promises.
func TestAdvisedLines(t *testing.T) {
	t.Parallel()
	run := func(lines ...string) func(*house.House) {
		return func(h *house.House) {
			for _, line := range lines {
				h.Must(strings.Fields(line)...)
			}
		}
	}
	const keyed = "config set client_key keystore -p work"
	for name, c := range map[string]struct {
		prepare func(h *house.House)
		args    string
		code    int
		line    string // that is advised
		then    int    // its exit code; -1: it takes a person at a terminal
	}{
		"keys make": {nil, "keys make -p work", 0, "loopkey config set client_key keystore -p work", 0},
		"keys make, by flags": {
			nil, "keys make -p new --issuer https://op.example --client-id x --alg ES256", 0,
			"loopkey config set client_key keystore -p new", 0,
		},
		"keys make again": {run("keys make -p work"), "keys make -p work", 2, "loopkey keys rotate -p work", 0},
		"keys rotate": {
			run("keys make -p work"), "keys rotate -p work", 0, "loopkey keys rotate -p work --finish", 0,
		},
		"keys rotate to an end": {
			run("keys make -p work"), "keys rotate --finish -p work", 2, "loopkey keys rotate -p work", 0,
		},
		"keys show": {nil, "keys show -p work", 2, "loopkey keys make -p work", 0},
		"keys delete": {
			run("keys make -p work", keyed), "keys delete -p work", 0, "loopkey config set client_key '' -p work", 0,
		},
		"a login without its key": {
			run(keyed), "login -p work", 2, "loopkey config set client_key '' -p work", 0,
		},
		"keys delete again": {
			run(keyed), "keys delete -p work", 0, "loopkey config set client_key '' -p work", 0,
		},
		"keys of no client":    {nil, "keys make -p new", 2, "loopkey setup -p new", -1},
		"the client's token":   {nil, "token --client-credentials -p new", 2, "loopkey setup -p new", -1},
		"the job's token":      {nil, "token --ci -p new", 2, "loopkey setup -p new", -1},
		"an exchange":          {nil, "token --id-jag work -p new", 2, "loopkey setup -p new", -1},
		"serve of no client":   {nil, "serve -p new", 2, "loopkey setup -p new", -1},
		"open of no client":    {nil, "open -p new", 2, "loopkey setup -p new", -1},
		"agent of no client":   {nil, "agent -p new", 2, "loopkey setup -p new", -1},
		"token of no client":   {nil, "token -p new", 3, "loopkey setup -p new", -1},
		"exec of nothing":      {nil, "exec -p work", 2, "loopkey exec -p work -- COMMAND", -1},
		"no sessions":          {nil, "sessions -p new", 0, "loopkey setup -p new", -1},
		"no sessions yet":      {nil, "sessions -p work", 0, "loopkey login -p work", 0},
		"no such profile":      {nil, "switch nosuch", 2, "loopkey setup -p nosuch", -1},
		"a new profile":        {nil, "switch new", 0, "loopkey setup -p new", -1},
		"another's session":    {nil, "token --id-jag work", 3, "loopkey login -p work", 0},
		"a tool of no servers": {nil, "setup git -p work", 2, "loopkey setup -p work git HOST", -1},
		"a login that timed out": {
			nil, "login -p work --timeout 1s --no-browser --session-max-age 12h --session-idle 90s --login-hint a@b.example", 1,
			"loopkey login -p work --no-browser --login-hint a@b.example --session-max-age 12h --session-idle 1m30s", -1,
		},
		"a code that timed out": {
			nil, "login -p work --timeout 1s --device --session-idle 1h", 1,
			"loopkey login -p work --session-idle 1h --device", -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t)
			work, _ := os.ReadFile(filepath.Join(h.Dir, "config.toml"))
			text := string(work) + strings.Replace(string(work), "[profile.default]", "[profile.work]", 1) +
				"[profile.new]\nkeystore = " + strconv.Quote(h.Keystore()) + "\n"
			if err := os.WriteFile(filepath.Join(h.Dir, "config.toml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.prepare != nil {
				c.prepare(h)
			}
			r := h.Run(strings.Fields(c.args)...)
			found := regexp.MustCompile(regexp.QuoteMeta(c.line) + `(?:$|[\s,;:]|\.\s| again)`).FindString(r.Stderr)
			if r.Code != c.code || found == "" {
				t.Fatalf("loopkey %s exits %d and does not say %s: %s", c.args, r.Code, c.line, r.Stderr)
			}
			if c.then < 0 {
				return
			}
			if next := h.Run(shellWords(t, strings.TrimPrefix(c.line, "loopkey "))...); next.Code != c.then {
				t.Errorf("%s exits %d: %s", c.line, next.Code, next.Stderr)
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
		"help whoan": "loopkey help whoami?", "token --audienze x": "--audience?", "login --no-browsr": "--no-browser?",
		"login --devise":     "--device?",
		"mcp logn https://x": "loopkey mcp login?", "token --qqqqqqq": "see loopkey token --help",
	} {
		r := h.Run(strings.Fields(args)...)
		if r.Code != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d: %s", args, r.Code, r.Stderr)
		}
	}
	r := h.With("LOOPKEY_PROFILE=defaul").Run("token")
	const want = "LOOPKEY_PROFILE in the environment names that profile: did you mean loopkey token -p default?"
	if r.Code != 3 || !strings.Contains(r.Stderr, want) {
		t.Errorf("LOOPKEY_PROFILE: exit %d: %s", r.Code, r.Stderr)
	}
}

// What doctor says to run makes well what it found.
func TestDoctorAdviceIsRun(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the environment is that of Linux without a desktop")
	}
	for name, c := range map[string]struct {
		env     []string
		prepare func(h *house.House)
		name    string // of the finding
		well    string // in what is found then
		device  bool   // the line logs in with a code
	}{
		"nobody is logged in": {name: "session", well: "Ada Lovelace"},
		"the session was ended": {
			prepare: func(h *house.House) {
				h.Must("login")
				h.Tenant.RevokeAll("ada")
				h.Run("token", "--force-refresh")
			},
			name: "refresh token", well: "there is one",
		},
		"no refresh token is asked for": {
			env: []string{"LOOPKEY_SCOPE=openid"}, name: "refresh token", well: "there is one",
		},
		"no keychain": {
			env: []string{
				"LOOPKEY_KEYSTORE=keychain", "DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR=", "LOOPKEY_PASSPHRASE=correct horse",
			},
			name: "keychain", well: "file: written in",
		},
		"no browser": {
			env: []string{"BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=", "WSL_DISTRO_NAME=", "WSL_INTEROP="}, name: "browser",
			device: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t, c.env...)
			if c.prepare != nil {
				c.prepare(h)
			}
			f := examined(t, h)[c.name]
			if f.State != "warning" && f.State != "broken" {
				t.Fatalf("%+v", f)
			}
			var entered sync.WaitGroup
			if c.device {
				entered.Go(func() { enterNextCode(t, h) })
			}
			h.Must(advisedLine(t, f.Fix)...)
			entered.Wait()
			if f := examined(t, h)[c.name]; c.well != "" && (f.State != "ok" || !strings.Contains(f.Message, c.well)) {
				t.Errorf("%+v", f)
			}
		})
	}
}

// enterNextCode logs the user in with the code of the next login by another device.
func enterNextCode(t *testing.T, h *house.House) {
	t.Helper()
	code, err := h.Tenant.NextUserCode(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	person := tenant.Person{Email: house.Email, Password: house.Password}
	if _, err := person.Visit(t.Context(), h.Tenant.Issuer()+"/device?user_code="+code); err != nil {
		t.Error(err)
	}
}

// examined returns what doctor finds, by name.
func examined(t *testing.T, h *house.House) map[string]struct{ State, Message, Fix string } {
	t.Helper()
	var all []struct{ Name, State, Message, Fix string }
	if err := json.Unmarshal([]byte(h.Run("doctor", "-o", "json").Stdout), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]struct{ State, Message, Fix string }{}
	for _, f := range all {
		found[f.Name] = struct{ State, Message, Fix string }{f.State, f.Message, f.Fix}
	}
	return found
}

// A port that another program has is named with that program, and one that loopkey serve of the same user has is well.
func TestDoctorAboutPorts(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", strings.Replace(strings.TrimPrefix(h.Base, "http://"),
		"localhost", "127.0.0.1", 1))
	if err != nil {
		t.Fatal(err)
	}
	f := examined(t, h)["port"]
	if f.State != "broken" || !strings.Contains(f.Message, "is taken by") || !strings.Contains(f.Fix, "give --port ") ||
		runtime.GOOS == "linux" && !strings.Contains(f.Message, "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("%+v", f)
	}
	_ = taken.Close()
	h.Serve()
	if f := examined(t, h)["port"]; f.State != "ok" || !strings.Contains(f.Message, "a loopkey of yours") {
		t.Errorf("%+v", f)
	}
}
