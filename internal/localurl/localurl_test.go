package localurl

import (
	"net/url"
	"strings"
	"testing"
)

// check says of each URL in two lists, separated by white space, whether parse takes it.
func check(t *testing.T, parse func(string) (*url.URL, error), good, bad string) {
	t.Helper()
	for _, raw := range strings.Fields(good) {
		if _, err := parse(raw); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
	for _, raw := range strings.Fields(bad) {
		if u, err := parse(raw); err == nil {
			t.Errorf("%q is taken for %v", raw, u)
		}
	}
}

func TestParseBase(t *testing.T) {
	t.Parallel()
	check(t, ParseBase, `
		http://localhost:3000 http://127.0.0.1:1 http://[::1]:65535/ http://localhost
	`, `
		https://localhost:3000 http://localhost:3000/x http://0.0.0.0:3000 http://192.0.2.1:3000
		http://localhost:0 http://localhost:99999 http://u@localhost:1 localhost:3000 http://localhost:x
		http://localhost:3000?x http://localhost:3000? http://localhost:3000# http://localhost:
		http://localhost.:3000 http://127.0.0.2:3000
	`)
	if u, err := ParseBase(""); err != nil || u.String() != Default {
		t.Errorf("nothing is %v, %v", u, err)
	}
}

func TestParseRedirect(t *testing.T) {
	t.Parallel()
	check(t, ParseRedirect, `
		http://localhost:3000/auth/callback http://127.0.0.1:0/ http://[::1]:0/a_b-c.d/ http://localhost/x
	`, `
		http://localhost:3000 http://localhost:3000/a/../b http://localhost:3000/. http://localhost:3000/a//b
		http://localhost:3000/a// http://localhost:3000/%61 http://localhost:3000/{x} http://localhost:3000/é
		http://localhost:3000/a?b http://localhost:3000/a# http:/a http:a https://localhost:3000/a
		http://192.0.2.1/a http://u@localhost/a http://localhost:65536/a http://localhost:/a
	`)
	for _, bad := range []string{"", "http://localhost:3000/a b"} {
		if _, err := ParseRedirect(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestPort(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int{
		"http://localhost":         80,
		"https://localhost":        443,
		"http://localhost:3000/x":  3000,
		"http://[::1]:1":           1,
		"http://[::1]":             80,
		"http://localhost:":        0,
		"http://localhost:0":       0,
		"http://localhost:65536":   0,
		"ftp://localhost":          0,
		"ftp://localhost:21":       21,
		"":                         0,
		"https://localhost:443/?x": 443,
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := Port(u); got != want {
			t.Errorf("%q: %d, not %d", raw, got, want)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"} {
		if !IsLoopback(host) {
			t.Errorf("%q is none", host)
		}
	}
	for _, host := range []string{"", "localhost.example", "192.0.2.1", "0.0.0.0", "::", "127.0.0.1.nip.io"} {
		if IsLoopback(host) {
			t.Errorf("%q is one", host)
		}
	}
}

// A port of 80 goes without saying, and any other does not.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	if got := strings.Join(Authorities(3000), " "); got != "localhost:3000 127.0.0.1:3000 [::1]:3000" {
		t.Errorf("got %s", got)
	}
	if got := strings.Join(Authorities(80), " "); got != "localhost:80 localhost 127.0.0.1:80 127.0.0.1 [::1]:80 [::1]" {
		t.Errorf("got %s", got)
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"":                   "http://localhost:3000/x?y",
		"http://127.0.0.1:1": "http://127.0.0.1:1/x?y",
		"http://[::1]:1/":    "http://[::1]:1/x?y",
	} {
		if got := At(base, "/x?y"); got != want {
			t.Errorf("%q: got %s, want %s", base, got, want)
		}
	}
}
