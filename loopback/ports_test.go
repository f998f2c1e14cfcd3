package loopback_test

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/part"
	"github.com/loopkey/loopkey/loopback"
)

// hold binds a port on one loopback, as another program might.
func hold(t *testing.T, host string, port int) {
	t.Helper()
	held, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		part.Missing(t, "this machine lacks %s: %v", host, err)
	}
	t.Cleanup(func() { _ = held.Close() })
}

// The first port that is free on both loopbacks is told to the provider, at the code exchange too, with the host of the
// redirect URI.
func TestPorts(t *testing.T) {
	t.Parallel()
	for _, held := range []string{"127.0.0.1", "::1"} {
		for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
			t.Run(held+" is held, "+host, func(t *testing.T) {
				t.Parallel()
				ports := []int{freePort(t), freePort(t), freePort(t)}
				hold(t, held, ports[0])
				want := "http://" + host + ":" + strconv.Itoa(ports[1]) + "/auth/callback"
				at, err := tenant.Start(t.Context(), tenant.Config{
					Clients: []tenant.Client{{ID: clientID, RedirectURIs: []string{want}}},
					Users:   []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace", Password: "x"}},
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(at.Close)
				var v visit
				var bound string
				var passed []error
				_, err = loopback.Login(t.Context(), loopback.Config{
					Issuer: at.Issuer(), ClientID: clientID, BaseURL: "http://" + host, Ports: ports,
					OpenBrowser: v.open, Timeout: 5 * time.Minute,
					Bound: func(redirectURI string, errs []error) { bound, passed = redirectURI, errs },
				})
				taken := new(loopback.PortTakenError)
				if err != nil || v.page.Status != http.StatusOK || bound != want || len(passed) != 1 ||
					!errors.As(passed[0], &taken) || taken.Port != ports[0] {
					t.Fatalf("%v, bound %s not %s, passed %v, %+v", err, bound, want, passed, v.page)
				}
				if got := parameter(t, v.authorization, "redirect_uri"); got != want {
					t.Errorf("redirect_uri is %q, not %q", got, want)
				}
			})
		}
	}
}

// Where no port is free the error has the reason for each.
func TestNoPortIsFree(t *testing.T) {
	t.Parallel()
	ports := []int{freePort(t), freePort(t)}
	for _, port := range ports {
		hold(t, "127.0.0.1", port)
	}
	at := start(t, tenant.Config{}, "http://localhost:3000/auth/callback")
	_, err := loopback.Login(t.Context(), loopback.Config{Issuer: at.Issuer(), ClientID: clientID, Ports: ports})
	none := new(loopback.PortsTakenError)
	if !errors.As(err, &none) || !slices.EqualFunc(none.Errs, ports, func(err error, port int) bool {
		taken := new(loopback.PortTakenError)
		return errors.As(err, &taken) && taken.Port == port
	}) {
		t.Errorf("got %v", err)
	}
}
