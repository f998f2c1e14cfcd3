package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// Where no browser can be opened, a login shows both ways at once. The first that is finished is stored, and ends the
// other: nobody polls any more for a code that is entered afterwards.
func TestEitherWay(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"code", "paste", "both"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t, "BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=", "TERM=xterm",
				"SSH_CONNECTION=192.0.2.1 50000 192.0.2.2 22")
			p := pty.Start(t, h.Command(t.Context(), "login"))
			issuer := strings.TrimSuffix(h.Tenant.Issuer(), "/")
			p.Expect("Open this in one yourself:")
			p.Expect(issuer)
			target := issuer + strings.TrimSpace(p.Expect("\r\n"))
			p.Expect("This is an SSH session.")
			p.Expect("paste here the URL that the browser ends up at")
			p.Expect("Or with a code, on any device: go to")
			p.Expect("and enter\r\n\x1b[1m")
			code := strings.TrimSpace(strings.TrimSuffix(p.Expect("\x1b[22m\r\n"), "\x1b[22m\r\n"))
			p.Expect("Enter no code that somebody sends you")
			paste := func() {
				person := tenant.Person{Email: email, Password: password, StopAt: h.Base}
				end, err := person.Visit(t.Context(), target)
				if err != nil {
					t.Error(err)
					return
				}
				p.Type(end.URL + "\r")
			}
			switch first {
			case "code":
				enterCode(t, h, code)
			case "paste":
				paste()
			case "both":
				var entering sync.WaitGroup
				entering.Go(func() { enterCode(t, h, code) })
				paste()
				entering.Wait()
			}
			p.Expect("Logged in as Ada Lovelace")
			if status := p.Exit(); status != 0 {
				t.Fatalf("login exits %d: %s", status, p.Screen())
			}
			if n := strings.Count(p.Screen(), "Logged in as"); n != 1 || !p.Echoes() {
				t.Errorf("%d logins are told of: %s", n, p.Screen())
			}
			if first == "paste" {
				enterCode(t, h, code)
			}
			h.Must("token", "--force-refresh")
			if n := h.Tenant.ReusedFamilies(); n != 0 {
				t.Errorf("%d refresh tokens were used twice", n)
			}
		})
	}
}

// Where both ways are granted at the same moment, one login is stored.
func TestBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	var entered atomic.Bool
	polled, exchanged := make(chan struct{}), make(chan struct{})
	poll, exchange := sync.OnceFunc(func() { close(polled) }), sync.OnceFunc(func() { close(exchanged) })
	intercept := func(endpoint string, _ http.ResponseWriter, r *http.Request) bool {
		if endpoint != "token" {
			return false
		}
		switch grant := r.FormValue("grant_type"); {
		case grant == "authorization_code":
			exchange()
		case entered.Load() && strings.HasSuffix(grant, "device_code"):
			poll()
			select {
			case <-exchanged:
			case <-r.Context().Done():
			}
		}
		return false
	}
	h, browser := twoAccounts(t, tenant.Config{Intercept: intercept})
	h = h.With("BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=", "TERM=xterm")
	p := pty.Start(t, h.Command(t.Context(), "login"))
	issuer := strings.TrimSuffix(h.Tenant.Issuer(), "/")
	p.Expect(issuer)
	target := issuer + strings.TrimSpace(p.Expect("\r\n"))
	p.Expect("and enter\r\n\x1b[1m")
	code := strings.TrimSpace(strings.TrimSuffix(p.Expect("\x1b[22m\r\n"), "\x1b[22m\r\n"))
	enterCode(t, h, code)
	entered.Store(true)
	<-polled
	person := tenant.Person{Email: email, Password: password, Jar: browser}
	if _, err := person.Visit(t.Context(), target); err != nil {
		t.Log(err) // the other way was quicker, and nobody is there
	}
	p.Expect("Logged in as Ada Lovelace")
	if status := p.Exit(); status != 0 {
		t.Errorf("login exits %d: %s", status, p.Screen())
	}
	if noted := h.Must("log"); strings.Count(noted, "logged in at") != 1 {
		t.Errorf("the log has not one login: %s", noted)
	}
	h.Must("token", "--force-refresh")
}

// A code is shown to a person who is there, and only where it can carry all that was asked for.
func TestNoCodeBeside(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=", "TERM=xterm")
	p := pty.Start(t, h.Command(t.Context(), "login", "--prompt", "login", "--timeout", "1s"))
	p.Expect("No browser can be opened here: there is no display. Open this in one yourself:")
	p.Expect("or run loopkey login --device instead")
	if p.Exit() != 1 || strings.Contains(p.Screen(), "with a code") || h.Tenant.Requests("device") != 0 {
		t.Errorf("a code is offered: %s", p.Screen())
	}
	r := h.Run("login", "--timeout", "1s")
	if r.Code != 1 || strings.Contains(r.Stderr, "with a code") || h.Tenant.Requests("device") != 0 ||
		!strings.Contains(r.Stderr, "run loopkey login --device instead") {
		t.Errorf("a code is shown to nobody: %s", r.Stderr)
	}
}

// A code that is declined ends nothing: the browser may still come back.
func TestDeclinedCode(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "BROWSER=", "DISPLAY=", "WAYLAND_DISPLAY=", "TERM=xterm")
	p := pty.Start(t, h.Command(t.Context(), "login"))
	issuer := strings.TrimSuffix(h.Tenant.Issuer(), "/")
	p.Expect(issuer)
	target := issuer + strings.TrimSpace(p.Expect("\r\n"))
	p.Expect("and enter\r\n\x1b[1m")
	code := strings.TrimSpace(strings.TrimSuffix(p.Expect("\x1b[22m\r\n"), "\x1b[22m\r\n"))
	decliner := tenant.Person{Email: email, Password: password, Deny: true}
	if _, err := decliner.Visit(t.Context(), issuer+"/device?user_code="+code); err != nil {
		t.Fatal(err)
	}
	p.Expect("The code works no more")
	person := tenant.Person{Email: email, Password: password}
	if _, err := person.Visit(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	p.Expect("Logged in as Ada Lovelace")
	if status := p.Exit(); status != 0 {
		t.Errorf("login exits %d", status)
	}
}

// Nobody types a new passphrase for a login that has no port.
func TestPortBeforePassphrase(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "LOOPKEY_KEYSTORE=file", "LOOPKEY_UNLOCK_FOR=0", "TERM=xterm")
	base, err := url.Parse(h.Base)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(base.Port())
	if err != nil {
		t.Fatal(err)
	}
	holdPort(t, port)
	p := pty.Start(t, h.Command(t.Context(), "login"))
	p.Expect("is taken by")
	if code := p.Exit(); code != 1 || strings.Contains(p.Screen(), "Passphrase") {
		t.Errorf("login exits %d: %s", code, p.Screen())
	}
}
