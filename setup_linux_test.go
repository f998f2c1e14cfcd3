package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// A newcomer at a terminal gets from a pasted URL to a login: what is wrong is said and asked again.
func TestSetupAtTerminal(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "TERM=xterm", "LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE=correct horse")
	h.Env = append(h.Env, "APP_BASE_URL="+h.Base)
	config := filepath.Join(h.Dir, "config.toml")
	if err := os.WriteFile(config, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := pty.Start(t, h.Command(t.Context(), "setup"))
	answer := func(question, keys string) {
		p.Expect(question)
		p.Type(keys + "\r")
	}
	answer("or issuer URL: ", "acme")
	p.Expect("https://acme for a host of that name")
	answer("or issuer URL: ", "https://portal.azure.com/#home")
	p.Expect("Directory (tenant) ID")
	answer("or issuer URL: ", h.Tenant.Issuer()+"/nowhere")
	p.Expect("discovery")
	answer("or issuer URL: ", h.Tenant.Issuer()+"/.well-known/openid-configuration")
	p.Expect("the issuer is " + h.Tenant.Issuer())
	answer("none yet): ", "two words")
	answer("none yet): ", house.Client)
	p.Expect(h.Base + "/auth/callback")
	answer("when that is done: ", "")
	answer("Name of the profile [default]: ", "../etc")
	answer("Name of the profile [default]: ", "work")
	p.Expect("[profile.work]")
	p.Expect("Written.")
	p.Expect("Now the first login.")
	p.Expect("Logged in as Ada Lovelace")
	p.Expect("loopkey token -p work")
	if code := p.Exit(); code != 0 || !p.Echoes() {
		t.Errorf("setup exits %d; the terminal echoes: %v", code, p.Echoes())
	}
	written, err := os.ReadFile(config)
	if err != nil || !strings.HasPrefix(string(written), "# mine\n\n[profile.work]\n") {
		t.Errorf("config.toml is %q, %v", written, err)
	}
	if token := h.Must("token", "-p", "work"); token == "" {
		t.Error("the profile has no token")
	}

	// What the profile has is proposed, and it does not change without a yes.
	p = pty.Start(t, h.Command(t.Context(), "setup", "-p", "work", "--no-login"))
	answer("["+h.Tenant.Issuer()+"]: ", "")
	answer("["+house.Client+"]: ", "another-client")
	answer("when that is done: ", "")
	p.Expect("+ client_id = \"another-client\"")
	answer("Change the profile work so? [y/N]: ", "n")
	p.Expect("loopkey: declined: the profile work stays as it is")
	if now, err := os.ReadFile(config); p.Exit() != 2 || string(now) != string(written) {
		t.Errorf("after a no, config.toml is %q, %v", now, err)
	}
	// Of a team's file nothing is taken without a yes, and a yes may be typed.
	team := filepath.Join(h.Dir, "loopkey.toml")
	content := "profile = \"team\"\nissuer = \"" + h.Tenant.Issuer() + "\"\nclient_id = \"" + house.Client + "\"\n"
	if err := os.WriteFile(team, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for reply, code := range map[string]int{"": 2, "n": 2, "Yes": 0} {
		p = pty.Start(t, h.Command(t.Context(), "setup", "--no-login", "--from", team))
		p.Expect("client_id = \"" + house.Client + "\"")
		answer("Trust this? [y/N]: ", reply)
		if got := p.Exit(); got != code {
			t.Errorf("after %q setup --from exits %d", reply, got)
		}
	}

	// Of an address that is typed, the flag's is no advice.
	p = pty.Start(t, h.Command(t.Context(), "setup", "--issuer", "http://127.0.0.1:1"))
	p.Expect("check the issuer http://127.0.0.1:1 (flag --issuer)")
	answer("[http://127.0.0.1:1]: ", "http://127.0.0.1:2")
	p.Expect("127.0.0.1:2 can't be reached: connection refused: check the spelling")
	p.Expect("[http://127.0.0.1:1]: ")
	p.Type("\x04")
	if code := p.Exit(); code != 130 {
		t.Errorf("the end of the input exits %d", code)
	}

	// A provider that has gone is not found by what its last login kept.
	h.Tenant.Close()
	p = pty.Start(t, h.Command(t.Context(), "setup", "-p", "work", "--no-login"))
	answer("["+h.Tenant.Issuer()+"]: ", "")
	p.Expect("connection refused: ")
	p.Expect("[" + h.Tenant.Issuer() + "]: ")
	p.Type("\x04")
	if code := p.Exit(); code != 130 {
		t.Errorf("the end of the input exits %d", code)
	}
}

// Where the machine has no keychain, setup offers an encrypted file, and the profile keeps to it.
func TestSetupWithoutKeychain(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "TERM=xterm", "LOOPKEY_PASSPHRASE=correct horse",
		"DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR=")
	config := filepath.Join(h.Dir, "mine.toml")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Env = append(h.Env, "APP_BASE_URL="+h.Base, "LOOPKEY_CONFIG="+config)
	p := pty.Start(t, h.Command(t.Context(), "setup", "--issuer", h.Tenant.Issuer(), "--client-id", house.Client))
	p.Expect("This machine has no keychain for the session: there is no D-Bus session")
	p.Expect("[Y/n]: ")
	p.Type("\r")
	p.Expect("+ keystore = \"file\"")
	p.Expect("Logged in as Ada Lovelace")
	if code := p.Exit(); code != 0 {
		t.Errorf("setup exits %d", code)
	}
	// The lists fit the terminal's 80 columns, except for a long path.
	for _, args := range [][]string{{"sessions"}, {"config", "list"}} {
		p := pty.Start(t, h.Command(t.Context(), args...))
		p.Exit()
		for line := range strings.Lines(p.Screen()) {
			if n := len([]rune(strings.TrimRight(line, "\r\n"))); n > 80 && !strings.Contains(line, h.Dir) {
				t.Errorf("%s prints %d columns: %s", args, n, line)
			}
		}
	}
}
