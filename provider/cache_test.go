package provider

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// TestCacheIsNotTrustedBlindly spoils the cache. Then the provider is asked instead.
func TestCacheIsNotTrustedBlindly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes and links are Unix's")
	}
	for name, spoil := range map[string]func(path string) error{
		"nothing":            func(string) error { return nil },
		"writable by others": func(path string) error { return os.Chmod(path, 0o666) },
		"a link": func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		},
		"a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"garbage":  func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"of another issuer": func(path string) error {
			return os.WriteFile(path, []byte(`{"issuer":"https://mallory"}`), 0o600)
		},
		"another's endpoints": func(path string) error {
			return os.WriteFile(path, []byte(`{"issuer":"SELF","discovery":{"raw":{"issuer":"https://mallory"}}}`), 0o600)
		},
		"fetched in the future": func(path string) error {
			raw, err := os.ReadFile(path)
			later := strings.ReplaceAll(string(raw), `"fetched":"2`, `"fetched":"3`) // another millennium
			return errors.Join(err, os.WriteFile(path, []byte(later), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			dir := filepath.Join(t.TempDir(), "cache")
			first := f.clocked(t, dir, 0)
			if err := first.Warm(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := spoil(first.cachePath()); err != nil {
				t.Fatal(err)
			}
			f.reset()
			if err := f.clocked(t, dir, 0).Warm(t.Context()); err != nil {
				t.Error(err)
			}
			want := 1
			if name == "nothing" {
				want = 0
			}
			if got := f.requests("/.well-known/openid-configuration"); got != want {
				t.Errorf("discovery was asked for %d times, not %d", got, want)
			}
		})
	}
	t.Run("no folder can be made", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newFake(t).clocked(t, filepath.Join(file, "cache"), 0).Warm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestChangedProvider changes an honest provider after its discovery and keys were cached. Logins and renewals still
// work: what has changed is fetched once more, and only once.
func TestChangedProvider(t *testing.T) {
	t.Parallel()
	const (
		later     = 2 * time.Minute // the cache is fresh
		discovery = "/.well-known/openid-configuration"
	)
	token := func(f *fake, key forge.Key) string {
		now := time.Now().Add(later).Unix()
		return key.Token(f.claims(func(c map[string]any) { c["iat"], c["exp"] = now, now+3600 }))
	}
	for name, c := range map[string]struct {
		change func(f *fake)
		token  func(f *fake) string
		want   map[string]int
	}{
		"another algorithm": {func(f *fake) {
			f.set("id_token_signing_alg_values_supported", []string{"ES256"})
			f.keys = forge.KeySet(forge.ES256().Public())
		}, func(f *fake) string { return token(f, forge.ES256()) }, map[string]int{discovery: 1, "/keys": 1}},
		"keys at another address": {func(f *fake) {
			f.set("jwks_uri", f.URL+"/keys2")
			f.on("/keys", http.StatusNotFound, "")
			f.on("/keys2", 200, forge.KeySet(forge.OtherRS256().Public()))
		}, func(f *fake) string { return token(f, forge.OtherRS256()) },
			map[string]int{discovery: 1, "/keys": 1, "/keys2": 1}},
		"another key under the old ID": {func(f *fake) { f.keys = forge.KeySet(forge.OtherRS256().Named("rsa-1").Public()) },
			func(f *fake) string { return token(f, forge.OtherRS256().Named("rsa-1")) }, map[string]int{"/keys": 1}},
	} {
		for _, age := range []freshness{forLogin, forSession} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f, dir := newFake(t), filepath.Join(t.TempDir(), "cache")
				before := forge.RS256().Token(f.claims())
				if err := verify(t.Context(), f.clocked(t, dir, 0), before, idTokenExpectation{nonce: "n"}); err != nil {
					t.Fatal(err)
				}
				f.reset()
				c.change(f)
				raw := c.token(f)
				for range 2 {
					p := f.clocked(t, dir, later)
					if err := verify(t.Context(), p, raw, idTokenExpectation{nonce: "n", keys: age}); err != nil {
						t.Error(err)
					}
				}
				f.count(t, "twice", c.want)
			})
		}
	}
}

// TestBadAnswersAreNotKept sends a key set without a key that could sign, and discovery with which no login can be
// made. Neither is cached.
func TestBadAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	f, dir := newFake(t), filepath.Join(t.TempDir(), "cache")
	good := forge.RS256().Token(f.claims())
	keys := f.keys
	for name, bad := range map[string]any{
		"none":           map[string]any{"keys": []any{}},
		"for encryption": forge.KeySet(published(forge.RS256(), map[string]any{"use": "enc"})),
		"symmetric":      forge.KeySet(map[string]any{"kty": "oct", "k": "AA"}),
	} {
		f.keys = bad
		err := verify(t.Context(), f.clocked(t, dir, 0), good, idTokenExpectation{nonce: "n"})
		if !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
		f.keys = keys
		fresh := f.clocked(t, filepath.Join(t.TempDir(), "cache"), 0)
		if err := verify(t.Context(), fresh, good, idTokenExpectation{nonce: "n"}); err != nil {
			t.Errorf("%s: on another machine: %v", name, err)
		}
	}
	if err := verify(t.Context(), f.clocked(t, dir, 0), good, idTokenExpectation{nonce: "n"}); err != nil {
		t.Errorf("right after: %v", err)
	}
	f.set("require_pushed_authorization_requests", true)
	later := f.clocked(t, filepath.Join(t.TempDir(), "cache"), 0)
	if _, err := later.AuthorizationURL(t.Context(), AuthorizationRequest{State: "s"}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a push without an endpoint: %v", err)
	}
	f.set("require_pushed_authorization_requests", false)
	if _, err := later.AuthorizationURL(t.Context(), AuthorizationRequest{State: "s"}); err != nil {
		t.Errorf("right after: %v", err)
	}
}
