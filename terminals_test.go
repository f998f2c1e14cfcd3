package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

const (
	api      = "https://api.example.com/"
	otherAPI = "https://other.example.com/"
)

// withAPI returns a house whose tenant has an API.
func withAPI(t *testing.T) *house.House {
	t.Helper()
	at, err := tenant.Start(t.Context(), tenant.Config{
		Rotate: true, OneResource: true,
		Clients: []tenant.Client{{
			ID: house.Client, RedirectURIs: []string{"http://localhost/auth/callback"}, AnyPort: true,
			Audiences: []string{api, otherAPI},
		}},
		Users: []tenant.User{{Subject: "ada", Email: house.Email, Name: "Ada Lovelace", Password: house.Password}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Close)
	h := house.New(t, at.Issuer())
	h.Tenant = at
	return h
}

// exit reads the rest of stderr, and returns it with the exit code.
func exit(t *testing.T, r *house.Running) (code int, rest string) {
	t.Helper()
	text, err := io.ReadAll(r.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Cmd.Wait()
	return r.Cmd.ProcessState.ExitCode(), string(text)
}

// visitor logs Ada in at a URL, up to the address that begins with stopAt.
func visitor(t *testing.T, target, stopAt string) *tenant.Visit {
	t.Helper()
	end, err := tenant.Person{Email: house.Email, Password: house.Password, StopAt: stopAt}.Visit(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// What login asks for is asked for beside a running serve too: the audience, the scope, the parameters.
func TestHandOffIsWhole(t *testing.T) {
	t.Parallel()
	h := withAPI(t)
	h.Serve()
	asked := []string{
		"login", "--no-browser", "--audience", api, "--scope", "openid profile offline_access",
		"--prompt", "login", "--max-age", "60", "--login-hint", "ada", "--param", "hd=example.com",
	}
	waiting := h.Start(asked...)
	authorizationURL := waiting.Line(t, h.Tenant.Issuer())
	for _, part := range []string{
		"resource=https%3A%2F%2Fapi.example.com%2F", "scope=openid+profile+offline_access", "prompt=login", "max_age=60",
		"login_hint=ada", "hd=example.com",
	} {
		if !strings.Contains(authorizationURL, part) {
			t.Errorf("%s is not in %s", part, authorizationURL)
		}
	}
	visitor(t, authorizationURL, "")
	if code, said := exit(t, waiting); code != 0 || !strings.Contains(said, "through loopkey serve") {
		t.Fatalf("login exits %d: %s", code, said)
	}
	if r := h.Run("token", "--audience", api, "-o", "json"); r.Code != 0 || !strings.Contains(r.Stdout, api) {
		t.Errorf("token --audience exits %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// What a running serve can't do for a login is refused by name, and nobody logs in for nothing.
func TestHandOffRefused(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Serve()
	cmd := h.Command(t.Context(), "login", "--keystore", "file")
	cmd.Env = append(cmd.Env, "LOOPKEY_PASSPHRASE=correct horse")
	r := h.Finish(cmd)
	if r.Code != 1 || !strings.Contains(r.Stderr, "another keystore (socket:") || h.Tenant.Requests("token") != 0 {
		t.Errorf("login --keystore file exits %d: %s", r.Code, r.Stderr)
	}
}

// The URL that the browser ended up at can be pasted while serve waits for it.
func TestPasteBesideServe(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Serve()
	var stdin io.WriteCloser
	waiting := h.StartCommand(func(ctx context.Context) *exec.Cmd {
		cmd := h.Command(ctx, "login", "--no-browser")
		var err error
		if stdin, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		return cmd
	})
	end := visitor(t, waiting.Line(t, h.Tenant.Issuer()), h.Base)
	wrong := h.Base + "/auth/callback?code=c&state=guessed\n"
	if _, err := io.WriteString(stdin, strings.Repeat(wrong, 12)); err != nil {
		t.Fatal(err)
	}
	waiting.Line(t, "Not that one: this response belongs to no login that waits here")
	waiting.Line(t, "None of 10 lines was the URL") // and it listens on
	if _, err := io.WriteString(stdin, end.URL+"\n"); err != nil {
		t.Fatal(err)
	}
	if code, said := exit(t, waiting); code != 0 || !strings.Contains(said, "Logged in as Ada Lovelace") {
		t.Errorf("login exits %d: %s", code, said)
	}
	h.Must("token")
}

// A refusal of several audiences that is pasted leads to a second URL, for one, with a serve and without one.
func TestPastedRefusal(t *testing.T) {
	t.Parallel()
	for _, serve := range []bool{true, false} {
		h := withAPI(t)
		h.Configure(h.Tenant.Issuer(), `audience = "`+api+`"`, "[[profile.default.hosts]]", `host = "git.example.com"`,
			`audience = "`+otherAPI+`"`)
		if serve {
			h.Serve()
		}
		var stdin io.WriteCloser
		waiting := h.StartCommand(func(ctx context.Context) *exec.Cmd {
			cmd := h.Command(ctx, "login", "--no-browser")
			var err error
			if stdin, err = cmd.StdinPipe(); err != nil {
				t.Fatal(err)
			}
			return cmd
		})
		paste := func() {
			end := visitor(t, waiting.Line(t, h.Tenant.Issuer()), h.Base)
			if _, err := io.WriteString(stdin, end.URL+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		paste()
		waiting.Line(t, "The provider does not grant several audiences at once.")
		paste()
		if code, said := exit(t, waiting); code != 0 || !strings.Contains(said, "brought no token for "+otherAPI) {
			t.Errorf("serve %t: login exits %d: %s", serve, code, said)
		}
		h.Must("token")
	}
}

// Two terminals that want the same share one login, with a serve and without one.
func TestTwoTerminals(t *testing.T) {
	t.Parallel()
	for _, serve := range []bool{true, false} {
		h := house.WithTenant(t)
		if serve {
			h.Serve()
		}
		first := h.Start("login", "--no-browser")
		authorizationURL := first.Line(t, h.Tenant.Issuer())
		second := h.Start("login") // with a browser, which it must not open
		second.Line(t, "Another terminal waits for this login already.")
		if again := second.Line(t, h.Tenant.Issuer()); again != authorizationURL {
			t.Errorf("serve %t: another login: %s", serve, again)
		}
		// A login for something else is not shared.
		if serve {
			other := h.Start("login", "--no-browser", "--prompt", "login")
			if other.Line(t, h.Tenant.Issuer()) == authorizationURL {
				t.Error("another login has the same URL")
			}
		} else if r := h.Run("login", "--prompt", "login"); r.Code != 1 ||
			!strings.Contains(r.Stderr, "a login that waits and asks for something else") {
			t.Errorf("another login exits %d: %s", r.Code, r.Stderr)
		}
		visitor(t, authorizationURL, "")
		for _, terminal := range []*house.Running{first, second} {
			if code, said := exit(t, terminal); code != 0 || !strings.Contains(said, "Logged in as Ada Lovelace") {
				t.Errorf("serve %t: a terminal exits %d: %s", serve, code, said)
			}
		}
		if got := h.Tenant.Requests("token"); got != 1 {
			t.Errorf("serve %t: %d token requests", serve, got)
		}
	}
}

// A terminal that shares a login whose own terminal is interrupted goes on by itself.
func TestSharedLoginInterrupted(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	first := h.Start("login", "--no-browser")
	authorizationURL := first.Line(t, h.Tenant.Issuer())
	second := h.Start("login", "--no-browser")
	if again := second.Line(t, h.Tenant.Issuer()); again != authorizationURL {
		t.Errorf("another login: %s", again)
	}
	if err := first.Cmd.Process.Signal(os.Interrupt); err != nil {
		part.Missing(t, "no such signal here: %v", err)
	}
	if code, _ := exit(t, first); code != 130 {
		t.Errorf("the first terminal exits %d", code)
	}
	second.Line(t, "The loopkey that held the port has ended")
	visitor(t, second.Line(t, h.Tenant.Issuer()), "")
	if code, said := exit(t, second); code != 0 || !strings.Contains(said, "Logged in as Ada Lovelace") {
		t.Errorf("the second terminal exits %d: %s", code, said)
	}
}

// A login that waits has no pages for a serve to open.
func TestServeBesideLogin(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Start("login", "--no-browser").Line(t, h.Tenant.Issuer())
	if r := h.Run("serve", "--no-browser"); r.Code != 1 || !strings.Contains(r.Stderr, "held by a login that waits") {
		t.Errorf("serve exits %d: %s", r.Code, r.Stderr)
	}
}

// A second serve says which of its flags the first one does not have, and fails.
func TestSecondServe(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	folder := t.TempDir()
	h.Serve("--pages", folder)
	for name, c := range map[string]struct {
		args []string
		want string // the flags that are named; "": it opens the page
	}{
		"no flags":    {nil, ""},
		"the same":    {[]string{"--pages", folder}, ""},
		"other pages": {[]string{"--pages", filepath.Dir(folder)}, "--pages"},
		"an upstream": {[]string{"--upstream", "http://localhost:5173", "--pages", folder}, "--upstream"},
		"two": {
			[]string{"--upstream", "http://localhost:5173", "--pass-access-token"}, "--upstream, --pass-access-token",
		},
		"another API":    {[]string{"--audience", api}, "--audience"},
		"other scopes":   {[]string{"--scope", "openid"}, "--scope"},
		"its parameters": {[]string{"--param", "hd=example.com"}, "--param"},
	} {
		r := h.Run(append([]string{"serve", "--no-browser"}, c.args...)...)
		if c.want == "" {
			if r.Code != 0 || !strings.Contains(r.Stderr, h.Base+"/auth/enter?") {
				t.Errorf("%s: exit %d: %s", name, r.Code, r.Stderr)
			}
			continue
		}
		if r.Code != 1 || !strings.Contains(r.Stderr, "it runs without "+c.want+" as given here") ||
			!strings.Contains(r.Stderr, "give --port ") || strings.Contains(r.Stderr, "/auth/enter") {
			t.Errorf("%s: exit %d: %s", name, r.Code, r.Stderr)
		}
	}
}

// A logout where no browser can be opened prints the provider's URL and does not wait, with a serve and without.
func TestLogoutWithoutBrowser(t *testing.T) {
	t.Parallel()
	for _, serve := range []bool{false, true} {
		h := house.WithTenant(t)
		h.Must("login")
		if serve {
			h.Serve()
		}
		h.Env = append(h.Env, "BROWSER="+filepath.Join(h.Dir, "nothing-here"))
		r := h.Run("logout")
		if r.Code != 0 || !strings.Contains(r.Stderr, "No browser was opened") ||
			!strings.Contains(r.Stderr, "\n"+h.Tenant.Issuer()) || strings.Contains(r.Stderr, "id_token_hint") ||
			!strings.Contains(r.Stderr, "ends when that page is opened, deleted here") {
			t.Errorf("serve %t: logout exits %d: %s", serve, r.Code, r.Stderr)
		}
	}
}

// Over SSH a logout says where the person's own browser can end the provider's session.
func TestLogoutOverSSH(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "SSH_CONNECTION=192.0.2.1 50000 198.51.100.7 22")
	h.Must("login")
	r := h.Run("logout")
	if r.Code != 0 || !strings.Contains(r.Stderr, "This is an SSH session.") ||
		!strings.Contains(r.Stderr, "\n"+h.Tenant.Issuer()) || strings.Contains(r.Stderr, "id_token_hint") {
		t.Errorf("logout exits %d: %s", r.Code, r.Stderr)
	}
	// Nobody comes to this machine, so the person ends the wait as they were told to.
	h.Must("login")
	h = h.With("BROWSER=true")
	waiting := h.Start("logout")
	waiting.Line(t, "This is an SSH session.")
	if err := waiting.Cmd.Process.Signal(os.Interrupt); err != nil {
		part.Missing(t, "no such signal here: %v", err)
	}
	if code, said := exit(t, waiting); code != 0 ||
		!strings.Contains(said, "the provider's session ends when that page is opened, deleted here.") {
		t.Errorf("logout exits %d: %s", code, said)
	}
}

// Where no browser can come back, login names the other ways, and the line with --device works.
func TestOtherWays(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]string{
		"SSH": "SSH_TTY=/dev/pts/1", "a container": "container=podman", "no browser": "BROWSER=/nothing/here",
	} {
		h := house.WithTenant(t, "BROWSER=true", env)
		waiting := h.Start("login", "--base-url", h.Base, "--prompt", "login")
		var line string
		for !strings.Contains(line, "--device instead") {
			text, err := waiting.Stderr.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: no line names --device: %v", name, err)
			}
			line = text
		}
		_, line, _ = strings.Cut(line, "run loopkey ")
		line, _, _ = strings.Cut(line, " instead")
		if err := waiting.Cmd.Process.Signal(os.Interrupt); err != nil {
			part.Missing(t, "no such signal here: %v", err)
		}
		_, _ = exit(t, waiting)
		device := h.Start(strings.Fields(line)...)
		device.Line(t, "and enter the code:")
		visitor(t, strings.TrimSuffix(h.Tenant.Issuer(), "/")+"/device?user_code="+device.Line(t, ""), "")
		if code, said := exit(t, device); code != 0 {
			t.Errorf("%s: %s exits %d: %s", name, line, code, said)
		}
	}
}
