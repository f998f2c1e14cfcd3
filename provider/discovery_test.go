package provider

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStale renews with old discovery and keys. They serve for a week while the provider can't be reached, but never
// instead of newer ones.
func TestStale(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		after  time.Duration
		change func(f *fake)
		want   error
		token  int
	}{
		"unreachable": {
			2 * day, func(f *fake) { f.on("/.well-known/openid-configuration", 503, ""); f.on("/keys", 502, "") }, nil, 1,
		},
		"unreachable for over a week": {
			8 * day, func(f *fake) { f.on("/.well-known/openid-configuration", 503, "") }, ErrUnreachable, 0,
		},
		"another issuer": {
			2 * day, func(f *fake) { f.set("issuer", "https://mallory.example.com") }, ErrIssuer, 0,
		},
		"gone": {
			2 * day, func(f *fake) { f.on("/.well-known/openid-configuration", 404, "") }, ErrRefused, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			dir := filepath.Join(t.TempDir(), "cache")
			f.on("/token", 200, f.renewed(0))
			if _, err := renew(t.Context(), f.clocked(t, dir, 0)); err != nil {
				t.Fatal(err)
			}
			c.change(f)
			f.on("/token", 200, f.renewed(c.after))
			f.reset()
			if _, err := renew(t.Context(), f.clocked(t, dir, c.after)); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if f.requests("/token") != c.token {
				t.Errorf("%d token requests", f.requests("/token"))
			}
		})
	}
}

// TestMetadata fetches discovery that can't be used, or that leads elsewhere.
func TestMetadata(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key   string
		value any
		want  error
	}{
		"good":                        {"x", "y", nil},
		"a slash more":                {"issuer", "SELF/", ErrIssuer},
		"no issuer":                   {"issuer", nil, ErrIssuer},
		"no token endpoint":           {"token_endpoint", nil, ErrMalformed},
		"a token endpoint without S":  {"token_endpoint", "http://provider.example.com/token", ErrMalformed},
		"a token endpoint with a key": {"token_endpoint", "https://u:p@provider.example.com/token", ErrMalformed},
		"keys in a file":              {"jwks_uri", "file:///etc/passwd", ErrMalformed},
		"a number":                    {"token_endpoint", 7, ErrMalformed},
		"no asymmetric algorithm":     {"id_token_signing_alg_values_supported", []string{"HS256", "none"}, ErrAlgorithm},
		"escapes in it":               {"issuer", "\x1b[31m\u202ered", ErrIssuer},
	} {
		f := newFake(t)
		if text, ok := c.value.(string); ok {
			c.value = strings.ReplaceAll(text, "SELF", f.URL)
		}
		f.set(c.key, c.value)
		err := f.client(t).Warm(t.Context())
		if !errors.Is(err, c.want) || c.want == nil && err != nil || err != nil && !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\u202e") {
			t.Errorf("%s: escapes in %q", name, err)
		}
	}
	for name, body := range map[string]string{
		"deep": strings.Repeat(`{"a":`, 20000), "null": "null", "list": "[]", "two": "{}{}", "empty": "", "HTML": "<p>",
	} {
		f := newFake(t)
		f.on("/.well-known/openid-configuration", 200, body)
		if err := f.client(t).Warm(t.Context()); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoDowngrade refuses plain http endpoints of an https issuer, also on a loopback host.
func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	p, err := New(Config{Issuer: "https://provider.example.com", ClientID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, ok := range map[string]bool{
		"https://x.example.com/t": true, "http://127.0.0.1/t": false, "http://x.example.com/t": false,
		"//x": false, "": false, "javascript:x": false,
	} {
		if (p.checkEndpoint(endpoint) == nil) != ok {
			t.Errorf("%q", endpoint)
		}
	}
}

// TestMaxAge reads Cache-Control.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": time.Hour, "max-age=x": time.Hour,
		"public, max-age=7200": 2 * time.Hour, `max-age="7200"`: 2 * time.Hour,
		"max-age=15": 5 * time.Minute, "max-age=-5": 5 * time.Minute,
		"no-store": 5 * time.Minute, "Max-Age=7200, No-Cache": 5 * time.Minute,
		"max-age=999999999": 24 * time.Hour, "max-age=99999999999999": 24 * time.Hour,
	} {
		if got := maxAge(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// TestUnlistedScopes names what a provider's discovery lacks, and nothing where it names no scopes.
func TestUnlistedScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		supported any
		want      string
	}{
		{nil, ""}, {[]string{"openid", "email"}, "read:all"}, {[]string{"openid", "read:all"}, "email"},
		{[]string{"openid", "email", "read:all", "more"}, ""},
	} {
		f := newFake(t)
		f.set("scopes_supported", c.supported)
		got, err := f.client(t).UnlistedScopes(t.Context(), "openid email read:all")
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("of %v: %v, %v", c.supported, got, err)
		}
	}
}
