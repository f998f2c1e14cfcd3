package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// interactive is what client-go says where a person is at the terminal.
const interactive = `KUBERNETES_EXEC_INFO={"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",` +
	`"spec":{"interactive":true}}`

// kubernetes starts the plugin at a terminal, as kubectl does there.
func kubernetes(t *testing.T, h *house.House, args ...string) *pty.Terminal {
	t.Helper()
	if len(args) == 0 {
		args = []string{"credential", "kubernetes"}
	}
	return pty.Start(t, h.With(interactive, "TERM=xterm").Command(t.Context(), args...))
}

// kubelogin returns a command line of kubelogin for the house's client.
func kubelogin(h *house.House, args ...string) []string {
	return append([]string{
		"oidc-login", "get-token", "--oidc-issuer-url=" + h.Tenant.Issuer(), "--oidc-client-id=" + house.Client,
	}, args...)
}

// tabs returns how many tabs were opened at the provider: each requests the login page and sends its form.
func tabs(h *house.House) int { return h.Tenant.Requests("authorize") / 2 }

// Where kubectl says that a person is there, its plugin logs them in, however many kubectl wait: one tab.
func TestKubernetesTerminal(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"one": 1, "five at once": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t)
			var all sync.WaitGroup
			for range n {
				all.Go(func() {
					p := kubernetes(t, h)
					if code := p.Exit(); code != 0 || !strings.Contains(p.Screen(), `"kind":"ExecCredential","status":{"token":"`) {
						t.Errorf("exit code %d: %s", code, p.Screen())
					}
				})
			}
			all.Wait()
			if got := tabs(h); got != 1 || h.Tenant.Requests("token") != 1 {
				t.Errorf("%d tabs, %d logins", got, h.Tenant.Requests("token"))
			}
			h.Tenant.Reset()
			p := kubernetes(t, h)
			code, requests := p.Exit(), h.Tenant.Requests("token")
			if code != 0 || !strings.HasPrefix(p.Screen(), `{"apiVersion":`) || requests > 0 {
				t.Errorf("with a session: exit code %d, %d requests: %s", code, requests, p.Screen())
			}
		})
	}
}

// A session that can't be renewed any more is one that nobody is logged in to.
func TestKubernetesTerminalEnded(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	h.Tenant.SetIDTokenLifetime(-30 * time.Second) // loopkey takes that for a clock that is wrong by so much
	h.Run("token", "--id-token", "--force-refresh")
	h.Tenant.SetIDTokenLifetime(time.Hour)
	h.Tenant.RevokeAll("ada")
	h.Tenant.Reset()
	p := kubernetes(t, h)
	if code := p.Exit(); code != 0 || tabs(h) != 1 {
		t.Errorf("exit code %d, %d tabs: %s", code, tabs(h), p.Screen())
	}
}

// kubectl calls a plugin that fails again at once, several times: a login that nobody finished is not begun again for a
// minute, whoever holds the port. A person may begin one at any time.
func TestKubernetesUnfinished(t *testing.T) {
	t.Parallel()
	for _, holder := range []string{"nobody", "serve"} {
		t.Run(holder, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t)
			if holder == "serve" {
				h.Serve()
			}
			denying := h.With("VISIT=deny")
			if p := kubernetes(t, denying); p.Exit() != 4 || tabs(h) != 1 {
				t.Fatalf("%d tabs: %s", tabs(h), p.Screen())
			}
			for range 3 {
				p := kubernetes(t, h)
				p.Expect(`nobody is logged in, and nobody finished the login of `)
				p.Expect(" ago: within a minute no other is begun for a tool: run loopkey login")
				if p.Exit() != 3 || tabs(h) != 1 {
					t.Errorf("%d tabs: %s", tabs(h), p.Screen())
				}
			}
			note := unfinishedNote(t, h)
			ended := time.Now().Add(-time.Minute).Format(time.RFC3339Nano)
			if err := os.WriteFile(note, []byte(ended), 0o600); err != nil {
				t.Fatal(err)
			}
			if p := kubernetes(t, h); p.Exit() != 0 || tabs(h) != 2 {
				t.Errorf("a minute later: %d tabs: %s", tabs(h), p.Screen())
			}
			if _, err := os.Stat(note); err == nil {
				t.Error("the note of an unfinished login outlives a finished one")
			}
		})
	}
}

// unfinishedNote returns the path of the one note that a login was not finished.
func unfinishedNote(t *testing.T, h *house.House) string {
	t.Helper()
	notes, err := filepath.Glob(filepath.Join(h.Dir, ".local", "state", "loopkey", "*.login"))
	if err != nil || len(notes) != 1 {
		t.Fatalf("notes: %v, %v", notes, err)
	}
	return notes[0]
}

// A step-up that nobody finished is not begun again for a minute either.
func TestKubernetesStepUpUnfinished(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Configure(h.Tenant.Issuer(), "[[profile.default.hosts]]", `host = "k8s.acme.example"`, `acr_values = "hw"`)
	h.Must("login")
	h.Tenant.Reset()
	plugin := func(env ...string) *pty.Terminal {
		info := strings.Replace(interactive, `true`, `true,"cluster":{"server":"https://k8s.acme.example"}`, 1)
		env = append(env, info, "TERM=xterm")
		return pty.Start(t, h.With(env...).Command(t.Context(), "credential", "kubernetes"))
	}
	if p := plugin("VISIT=deny"); p.Exit() != 4 || tabs(h) != 1 {
		t.Fatalf("%d tabs: %s", tabs(h), p.Screen())
	}
	for range 2 {
		p := plugin()
		p.Expect(" ago: within a minute no other is begun for a tool")
		if p.Exit() != 3 || tabs(h) != 1 {
			t.Errorf("%d tabs: %s", tabs(h), p.Screen())
		}
	}
	note := unfinishedNote(t, h)
	if err := os.Remove(note); err != nil {
		t.Fatal(err)
	}
	if p := plugin(); p.Exit() != 0 || tabs(h) != 2 {
		t.Errorf("later: %d tabs: %s", tabs(h), p.Screen())
	}
	if _, err := os.Stat(note); err == nil {
		t.Error("the note of an unfinished step-up outlives a finished one")
	}
}

// A killed plugin leaves the note too, and a provider that can't be reached leaves none: no tab was opened.
func TestKubernetesUnfinishedOtherwise(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Tenant.Fail("discovery", 503)
	if p := kubernetes(t, h); p.Exit() != 1 {
		t.Errorf("discovery fails: %s", p.Screen())
	}
	h.Tenant.Fail("discovery", 0)
	p := kubernetes(t, h.With("BROWSER=true"))
	p.Expect("Waiting for you in the browser")
	if err := p.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Exit()
	p = kubernetes(t, h)
	p.Expect("nobody finished the login of")
	if p.Exit() != 3 || tabs(h) != 0 {
		t.Errorf("%d tabs: %s", tabs(h), p.Screen())
	}
}

// A passphrase is asked for once, and a new one twice.
func TestKubernetesPassphrase(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "LOOPKEY_KEYSTORE=file")
	p := kubernetes(t, h)
	for _, question := range []string{"Passphrase for loopkey's session file: ", "The same once more: "} {
		p.Expect(question)
		p.Type("correct horse\r")
	}
	p.Expect(`"kind":"ExecCredential"`)
	if code := p.Exit(); code != 0 || strings.Count(p.Screen(), "Passphrase") != 1 {
		t.Errorf("exit code %d: %s", code, p.Screen())
	}
}

// kubelogin's flags for a login mean what they mean there.
func TestKubeloginTerminal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		flow string
	}{
		"browser":  {[]string{"--oidc-extra-scope=groups", "--oidc-auth-request-extra-params=kc_idp_hint=acme"}, "browser"},
		"command":  {[]string{"--browser-command=" + house.Visitor(t)}, "browser"},
		"URL":      {[]string{"--skip-open-browser"}, "pasted"},
		"keyboard": {[]string{"--grant-type=authcode-keyboard"}, "pasted"},
		"a code":   {[]string{"--grant-type", "device-code"}, "device"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var env []string
			if name == "command" {
				env = []string{"BROWSER=false"}
			}
			h := house.WithTenant(t, env...)
			p := kubernetes(t, h, kubelogin(h, c.args...)...)
			finish(t, h, p, c.flow)
			p.Expect("Logged in as Ada Lovelace")
			p.Expect(`"kind":"ExecCredential"`)
			if code := p.Exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			for _, part := range []string{"+groups", "kc_idp_hint=acme"} {
				if name == "browser" && !strings.Contains(p.Screen(), part) {
					t.Errorf("the login lacks %s", part)
				}
			}
		})
	}
}

// Logins with a code can't be shared: they are made one after the other, and one is enough.
func TestKubeloginCodes(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "NO_COLOR=1")
	args := kubelogin(h, "--grant-type=device-code")
	first := kubernetes(t, h, args...)
	first.Expect("enter the code:\r\n")
	code := strings.TrimSpace(first.Expect("\r\n"))
	second := kubernetes(t, h, args...)
	second.Expect("Another terminal waits for this login already.")
	enterCode(t, h, code)
	for _, p := range []*pty.Terminal{first, second} {
		p.Expect(`"kind":"ExecCredential"`)
		if p.Exit() != 0 {
			t.Error(p.Screen())
		}
	}
	if n := h.Tenant.Requests("device"); n != 1 {
		t.Errorf("%d codes", n)
	}
}
