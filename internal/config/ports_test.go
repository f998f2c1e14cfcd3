package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/known"
)

// The source that counts for more says the port; of one source, callback_ports does, and the base URL says the host.
func TestPorts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		world
		ports []int
		base  string
	}{
		"nothing":  {ports: []int{3000}, base: "http://localhost:3000"},
		"base URL": {world{flags: map[string]string{"base-url": "http://[::1]:4000"}}, []int{4000}, "http://[::1]:4000"},
		"profile": {
			world{toml: "[profile.default]\ncallback_ports = [3001, 3002]\n"}, []int{3001, 3002}, "http://localhost:3001",
		},
		"profile, with a host": {
			world{toml: "[profile.default]\ncallback_ports = [3001, 3002]\nbase_url = \"http://127.0.0.1:3000\"\n"},
			[]int{3001, 3002}, "http://127.0.0.1:3001",
		},
		"one port": {world{toml: "[profile.default]\ncallback-ports = 3001\n"}, []int{3001}, "http://localhost:3001"},
		"flag over profile": {
			world{
				flags: map[string]string{"port": "4000, 4001"},
				toml:  "[profile.default]\ncallback_ports = [3001]\nbase_url = \"http://[::1]:3000\"\n",
			}, []int{4000, 4001}, "http://[::1]:4000",
		},
		"base URL of a flag over the profile's ports": {
			world{
				flags: map[string]string{"base-url": "http://localhost:4000"},
				toml:  "[profile.default]\ncallback_ports = [3001]\n",
			}, []int{4000}, "http://localhost:4000",
		},
		".env over the default profile": {
			world{dotEnv: "APP_BASE_URL=http://localhost:4000\n", toml: "[profile.default]\ncallback_ports = [3001]\n"},
			[]int{4000}, "http://localhost:4000",
		},
		"a named profile over .env": {
			world{
				flags: map[string]string{"profile": "work"}, dotEnv: "APP_BASE_URL=http://localhost:4000\n",
				toml: "[profile.work]\ncallback_ports = [3001]\n",
			}, []int{3001}, "http://localhost:3001",
		},
		"any": {world{flags: map[string]string{"port": "0"}}, []int{0}, "http://localhost:3000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, test.world)
			if got := c.Ports(); !slices.Equal(got, test.ports) || c.BaseURL != test.base {
				t.Errorf("%v, %s", got, c.BaseURL)
			}
		})
	}
}

// A list that is none is refused, and any port at Auth0.
func TestWrongPorts(t *testing.T) {
	t.Parallel()
	for port, word := range map[string]string{
		"x": "no port", "3000,": "no port", "65536": "no port", "-1": "no port", "1,1": "1 twice",
		"0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20": "more than 20",
	} {
		if _, err := Load(Input{Flags: map[string]string{"port": port}, Environ: []string{"HOME=/h"}}); !errors.Is(
			err, ErrInvalid) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", port, err)
		}
	}
	for _, written := range []any{"3000", []any{"3000"}, int64(-1), []any{int64(65536)}, true} {
		if text, err := PortsText(written); err == nil {
			t.Errorf("%v is %q", written, text)
		}
	}
	at := map[string]string{"domain": "acme.eu.auth0.com", "client-id": "x", "port": "3000,0"}
	c := load(t, world{flags: at})
	if err := c.CompleteForLogin(); err == nil || !strings.Contains(err.Error(), "Auth0") {
		t.Errorf("any port at Auth0: %v", err)
	}
}

// The ports of the last login count where no source says otherwise, and the one that was chosen then is no ruling.
func TestRememberedPorts(t *testing.T) {
	t.Parallel()
	last := known.Client{
		Issuer: "https://a.example/", ClientID: "x", BaseURL: "http://127.0.0.1:3002", CallbackPorts: []int{3001, 3002},
	}
	c := load(t, world{})
	c.Remember(last)
	if got := c.Ports(); !slices.Equal(got, last.CallbackPorts) || c.BaseURL != "http://127.0.0.1:3001" {
		t.Errorf("%v, %s", got, c.BaseURL)
	}
	c = load(t, world{flags: map[string]string{"base-url": "http://localhost:4000"}})
	c.Remember(last)
	if got := c.Ports(); !slices.Equal(got, []int{4000}) || c.BaseURL != "http://localhost:4000" {
		t.Errorf("%v, %s", got, c.BaseURL)
	}
	last.CallbackPorts = nil // an earlier loopkey noted it
	c = load(t, world{})
	c.Remember(last)
	if got := c.Ports(); !slices.Equal(got, []int{3002}) {
		t.Errorf("%v", got)
	}
}

// config.toml gets a list, in place of another one or a number.
func TestSetPorts(t *testing.T) {
	t.Parallel()
	for before, after := range map[string]string{
		"": "[profile.default]\ncallback_ports = [3000, 3001]\n",
		"[profile.default]\ncallback_ports = 1\n": "[profile.default]\ncallback_ports = [3000, 3001]\n",
		"[profile.default]\ncallback_ports = [ 1,\n 2 ] # ours\nscope = \"openid\"\n": "[profile.default]\n" +
			"callback_ports = [3000, 3001] # ours\nscope = \"openid\"\n",
	} {
		got, err := Edit([]byte(before), "default", Assignment{Key: "callback_ports", Value: "3000,3001"})
		if err != nil || string(got) != after {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := Edit(nil, "default", Assignment{Key: "callback_ports", Value: "x"}); err == nil {
		t.Error("x is set")
	}
}
