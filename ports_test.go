package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/ready"
)

// manyPorts returns a house with several callback ports, and a tenant that knows them all.
func manyPorts(t *testing.T, anyPort bool) *house.House {
	t.Helper()
	h := house.New(t, "http://localhost:1")
	client := tenant.Client{ID: house.Client, AnyPort: anyPort}
	var list []string
	for range 3 {
		port, giveBack, err := ready.FreePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(giveBack)
		base := "http://127.0.0.1:" + strconv.Itoa(port)
		list = append(list, strconv.Itoa(port))
		client.RedirectURIs = append(client.RedirectURIs, base+"/auth/callback")
		client.PostLogoutRedirectURIs = append(client.PostLogoutRedirectURIs, base)
	}
	started, err := tenant.Start(t.Context(), tenant.Config{
		Rotate: true, Clients: []tenant.Client{client},
		Users: []tenant.User{{Subject: "ada", Email: email, Name: "Ada Lovelace", Password: password}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	h.Tenant, h.Base = started, "http://127.0.0.1"
	if anyPort {
		list = []string{"0"}
	}
	h.Configure(started.Issuer(), "callback_ports = ["+strings.Join(list, ", ")+"]")
	return h
}

// holdPort binds a port on one loopback, as another program might.
func holdPort(t *testing.T, port int) {
	t.Helper()
	held, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Close() })
}

// A login by any port is remembered as such, and a serve at any port is found.
func TestAnyPort(t *testing.T) {
	t.Parallel()
	h := manyPorts(t, true)
	r := h.Run("login")
	if r.Code != 0 || !strings.Contains(r.Stderr, "This login comes back to http://127.0.0.1:") {
		t.Fatalf("exit %d: %s", r.Code, r.Stderr)
	}
	running := h.Start("serve", "--no-browser")
	serving := strings.TrimPrefix(running.Line(t, "Serving "), "Serving ")
	base, _, _ := strings.Cut(serving, ". ")
	running.Line(t, base+"/auth/enter?")
	r = h.Run("login")
	if r.Code != 0 || !strings.Contains(r.Stderr, "through loopkey serve") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	r = h.Run("serve", "--no-browser")
	if r.Code != 0 || !strings.Contains(r.Stderr, "running already") || !strings.Contains(r.Stderr, base+"/auth/enter?") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	if err := os.Remove(filepath.Join(h.Dir, "config.toml")); err != nil {
		t.Fatal(err)
	}
	r = h.With("LOOPKEY_CONFIG=").Run("config", "get", "callback_ports")
	if got := strings.TrimSpace(r.Stdout); got != "0" {
		t.Errorf("the last login noted the ports %q: %s", got, r.Stderr)
	}
}

// Of logins that begin at once one opens a tab, whatever ports are free, and the others wait for it.
func TestOneTabForManyPorts(t *testing.T) {
	t.Parallel()
	for name, anyPort := range map[string]bool{"listed": false, "any": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := manyPorts(t, anyPort)
			h = h.With("BROWSER=true")
			const logins = 3
			lines, done := make(chan string, logins), make(chan int, logins)
			var running sync.WaitGroup
			for range logins {
				l := h.Start("login")
				running.Go(func() {
					lines <- l.Line(t, "http://127.0.0.1")
					_ = l.Cmd.Wait()
					done <- l.Cmd.ProcessState.ExitCode()
				})
			}
			opened := map[string]bool{}
			var target string
			for range logins {
				target = <-lines
				opened[target] = true
			}
			if len(opened) != 1 {
				t.Fatalf("there are %d tabs: %v", len(opened), opened) // nobody visits the others
			}
			if _, err := url.Parse(target); err != nil {
				t.Fatal(err)
			}
			person := tenant.Person{Email: email, Password: password}
			if _, err := person.Visit(context.WithoutCancel(t.Context()), target); err != nil {
				t.Error(err)
			}
			for range logins {
				if code := <-done; code != 0 {
					t.Errorf("a login exits %d", code)
				}
			}
			running.Wait()
		})
	}
}
