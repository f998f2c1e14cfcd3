package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
	"github.com/loopkey/loopkey/internal/test/secretservice"
)

// Every keystore and flow can be finished at a terminal. What is asked is asked
// before the browser opens, and nothing draws over it.
func TestLoginAtTerminal(t *testing.T) {
	t.Parallel()
	const asked, again = "Passphrase for loopkey's session file: ", "The same once more: "
	for keystore, env := range map[string]func(t *testing.T) []string{
		"memory": func(*testing.T) []string { return nil },
		"file": func(*testing.T) []string {
			return []string{"LOOPKEY_KEYSTORE=file", "LOOPKEY_UNLOCK_FOR=0"}
		},
		"keychain": func(t *testing.T) []string { return append(secretservice.Session(t), "LOOPKEY_KEYSTORE=keychain") },
	} {
		for _, flow := range []string{"browser", "pasted", "device"} {
			t.Run(keystore+", "+flow, func(t *testing.T) {
				t.Parallel()
				h := house.WithTenant(t, append(env(t), "TERM=xterm")...)
				args := []string{"login"}
				switch flow {
				case "pasted":
					args = append(args, "--no-browser")
				case "device":
					args = append(args, "--device")
				}
				p := pty.Start(t, h.Command(t.Context(), args...))
				if keystore == "file" {
					before := p.Expect(asked)
					p.Type("correct horse\r")
					between := p.Expect(again)
					p.Type("correct horse\r")
					if before != asked || between != "\r\n"+again {
						t.Errorf("%q was printed before the prompt, %q before the second", before, between)
					}
				}
				finish(t, h, p, flow)
				p.Expect("Logged in as Ada Lovelace")
				if code := p.Exit(); code != 0 {
					t.Errorf("login exits %d", code)
				}
				if !p.Echoes() {
					t.Error("the terminal is left without an echo")
				}
				if keystore != "file" {
					return
				}
				// The next command asks once, and hands the token out.
				p = pty.Start(t, h.Command(t.Context(), "token"))
				p.Expect(asked)
				p.Type("correct horse\r")
				if p.Expect("\r\n"); p.Exit() != 0 {
					t.Errorf("token fails: %q", p.Screen())
				}
			})
		}
	}
}

// finish is the person's part of a login.
func finish(t *testing.T, h *house.House, p *pty.Terminal, flow string) {
	t.Helper()
	switch flow {
	case "pasted":
		issuer := strings.TrimSuffix(h.Tenant.Issuer(), "/")
		p.Expect(issuer)
		rest := p.Expect("\r\n")
		p.Expect("Waiting for you")
		person := tenant.Person{Email: email, Password: password, StopAt: h.Base}
		end, err := person.Visit(t.Context(), issuer+strings.TrimSpace(rest))
		if err != nil {
			t.Fatal(err)
		}
		p.Type(end.URL + "\r")
	case "device":
		p.Expect("enter the code:\r\n\x1b[1m")
		code := strings.TrimSpace(strings.TrimSuffix(p.Expect("\x1b[22m\r\n"), "\x1b[22m\r\n"))
		if drawn := p.Expect("point a camera at this."); strings.Count(drawn, "▀") < 50 {
			t.Errorf("no QR code, but %q", drawn)
		}
		enterCode(t, h, code)
	}
}

// enterCode enters the code of a login on another device.
func enterCode(t *testing.T, h *house.House, code string) {
	t.Helper()
	person := tenant.Person{Email: email, Password: password}
	target := strings.TrimSuffix(h.Tenant.Issuer(), "/") + "/device?user_code=" + code
	if _, err := person.Visit(t.Context(), target); err != nil {
		t.Fatal(err)
	}
}

// A wrong passphrase at a second login stores nothing and opens nothing.
func TestWrongPassphraseAtTerminal(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "LOOPKEY_KEYSTORE=file", "TERM=xterm", "LOOPKEY_UNLOCK_FOR=0")
	h.Env = append(h.Env, "LOOPKEY_PASSPHRASE=correct horse")
	h.Must("login")
	h.Env = append(h.Env, "LOOPKEY_PASSPHRASE=")
	h.Tenant.Reset()
	p := pty.Start(t, h.Command(t.Context(), "login"))
	p.Expect("Passphrase")
	p.Type("wrong\r")
	p.Expect("the passphrase does not open")
	if code := p.Exit(); code != 5 {
		t.Errorf("exit code %d", code)
	}
	if n := h.Tenant.Requests("authorize"); n != 0 {
		t.Errorf("the browser was sent to the provider %d times", n)
	}
}

// A new passphrase that was mistyped is asked for again: what came before in a setup or a login is not lost.
func TestMistypedPassphraseAtTerminal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typed []string
		code  int
		said  string
	}{
		"the second time it is right": {[]string{"corect", "correct", "correct", "correct"}, 0, "Logged in as Ada Lovelace"},
		"it is never the same": {
			[]string{"a", "b", "a", "b", "a", "b"}, 5,
			"the encrypted file can't be used: the two passphrases differ: try again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t, "LOOPKEY_KEYSTORE=file", "TERM=xterm", "LOOPKEY_UNLOCK_FOR=0")
			p := pty.Start(t, h.Command(t.Context(), "login"))
			for i, typed := range c.typed {
				if i > 0 && i%2 == 0 {
					p.Expect("The two differ.")
				}
				p.Expect([]string{"Passphrase for loopkey's session file: ", "The same once more: "}[i%2])
				p.Type(typed + "\r")
			}
			p.Expect(c.said)
			if code := p.Exit(); code != c.code {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// The URL of a login is a link where the terminal draws links, and nowhere else.
func TestLinkAtTerminal(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	for _, c := range []struct {
		env  []string
		want bool
	}{
		{[]string{"TERM=xterm-kitty"}, true},
		{[]string{"TERM=xterm-kitty", "NO_COLOR=1"}, false},
		{[]string{"TERM=xterm"}, false},
	} {
		p := pty.Start(t, h.With(c.env...).Command(t.Context(), "login", "--no-browser"))
		p.Expect("Waiting for you in the browser")
		p.Type("\x03")
		p.Exit()
		before, after, found := strings.Cut(p.Screen(), "\x1b]8;;"+h.Tenant.Issuer())
		if found != c.want || strings.Contains(before, "\x1b]8;") || c.want && strings.Count(after, "\x1b]8;;\x1b\\") != 1 {
			t.Errorf("%s: %q", c.env, p.Screen())
		}
	}
}

// At a terminal of the machine where the browser is, a login shows a short URL that leads to the provider. Where the
// browser may be on another machine, it shows the whole one, and how its response gets here.
func TestShortURLAtTerminal(t *testing.T) {
	t.Parallel()
	bare, docker, podman := t.TempDir(), t.TempDir(), t.TempDir()
	for _, mark := range []string{filepath.Join(docker, ".dockerenv"), filepath.Join(podman, "run", ".containerenv")} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(mark), 0o700), os.WriteFile(mark, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	h := house.WithTenant(t, "TERM=xterm", "BROWSER=true")
	for name, c := range map[string]struct {
		env   []string
		short bool
		says  string
	}{
		"a desk":     {[]string{house.Root + "=" + bare}, true, ""},
		"Docker":     {[]string{house.Root + "=" + docker}, false, "This is a container"},
		"Podman":     {[]string{house.Root + "=" + podman}, false, "This is a container"},
		"Codespaces": {[]string{house.Root + "=" + bare, "CODESPACES=true"}, false, "This is a container"},
		"SSH":        {[]string{house.Root + "=" + bare, "SSH_TTY=/dev/pts/0"}, false, "This is an SSH session"},
		"no browser": {[]string{house.Root + "=" + bare, "BROWSER=no-such-program"}, false, "Open this in one yourself"},
	} {
		p := pty.Start(t, h.With(c.env...).Command(t.Context(), "login"))
		seen := p.Expect("Waiting for you in the browser")
		at := h.Tenant.Issuer()
		if c.short {
			at = h.Base + "/go/"
		}
		_, shown, found := strings.Cut(seen, at)
		if !found || !strings.Contains(seen, c.says) || c.short == strings.Contains(seen, h.Tenant.Issuer()+"/authorize") {
			t.Errorf("%s: the terminal shows %q", name, seen)
		}
		target, _, _ := strings.Cut(at+shown, "\r\n")
		if page := visitor(t, target, ""); !strings.Contains(page.Body, "You are logged in") {
			t.Errorf("%s: %s leads to %+v", name, target, page)
		}
		if code := p.Exit(); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}
