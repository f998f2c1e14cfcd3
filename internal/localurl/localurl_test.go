package localurl

import (
	"net/url"
	"testing"
)

func TestParseBase(t *testing.T) {
	t.Parallel()
	for raw, ok := range map[string]bool{
		"": true, "http://localhost:3000": true, "http://127.0.0.1:1": true, "http://[::1]:65535/": true, "http://localhost": true,
		"https://localhost:3000": false, "http://localhost:3000/x": false, "http://0.0.0.0:3000": false, "http://192.0.2.1:3000": false,
		"http://localhost:0": false, "http://localhost:99999": false, "http://u@localhost:1": false, "localhost:3000": false,
		"http://localhost:3000?x": false, "http://localhost:3000?": false, "http://localhost:3000#": false, "http://localhost:": false,
		"http://localhost.:3000": false, "http://127.0.0.2:3000": false, "http://localhost:x": false,
	} {
		if _, err := ParseBase(raw); (err == nil) != ok {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestPort(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]int{
		"http://localhost": 80, "https://localhost": 443, "http://localhost:3000/x": 3000, "http://[::1]:1": 1, "http://[::1]": 80,
		"http://localhost:": 0, "http://localhost:0": 0, "http://localhost:65536": 0, "ftp://localhost": 0, "": 0,
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
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "192.0.2.1": false, "0.0.0.0": false, "::": false, "127.0.0.1.nip.io": false,
	} {
		if got := IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestParseRedirect(t *testing.T) {
	t.Parallel()
	for raw, ok := range map[string]bool{
		"http://localhost:3000/auth/callback": true, "http://127.0.0.1:0/": true, "http://[::1]:0/a_b-c.d/": true, "http://localhost/x": true,
		"http://localhost:3000": false, "http://localhost:3000/a/../b": false, "http://localhost:3000/.": false, "http://localhost:3000/a//b": false,
		"http://localhost:3000/a//": false, "http://localhost:3000/%61": false, "http://localhost:3000/{x}": false, "http://localhost:3000/a b": false,
		"http://localhost:3000/é": false, "http://localhost:3000/a?b": false, "http://localhost:3000/a#": false, "http:/a": false, "http:a": false,
		"https://localhost:3000/a": false, "http://192.0.2.1/a": false, "http://u@localhost/a": false, "http://localhost:65536/a": false,
		"http://localhost:/a": false, "": false,
	} {
		if _, err := ParseRedirect(raw); (err == nil) != ok {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
