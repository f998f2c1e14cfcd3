package provider

import (
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// What is cached of an honest provider that has changed since keeps nobody out, at a login and
// at a renewal: it is fetched once more, and only once.
func TestChangedProvider(t *testing.T) {
	t.Parallel()
	const later = 2 * time.Minute // the cache is fresh
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
		}, func(f *fake) string { return token(f, forge.ES256()) }, map[string]int{"/.well-known/openid-configuration": 1, "/keys": 1}},
		"keys at another address": {func(f *fake) {
			f.set("jwks_uri", f.URL+"/keys2")
			f.on("/keys", http.StatusNotFound, "")
			f.on("/keys2", 200, forge.KeySet(forge.OtherRS256().Public()))
		}, func(f *fake) string { return token(f, forge.OtherRS256()) }, map[string]int{"/.well-known/openid-configuration": 1, "/keys": 1, "/keys2": 1}},
		"another key under the old ID": {func(f *fake) { f.keys = forge.KeySet(forge.OtherRS256().Named("rsa-1").Public()) },
			func(f *fake) string { return token(f, forge.OtherRS256().Named("rsa-1")) }, map[string]int{"/keys": 1}},
	} {
		for _, age := range []freshness{forLogin, forSession} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f, dir := newFake(t), filepath.Join(t.TempDir(), "cache")
				if err := verify(t.Context(), f.clocked(t, dir, 0), forge.RS256().Token(f.claims()), idTokenExpectation{nonce: "n"}); err != nil {
					t.Fatal(err)
				}
				f.reset()
				c.change(f)
				raw := c.token(f)
				for range 2 {
					if err := verify(t.Context(), f.clocked(t, dir, later), raw, idTokenExpectation{nonce: "n", keys: age}); err != nil {
						t.Error(err)
					}
				}
				f.count(t, "twice", c.want)
			})
		}
	}
}

// A key set without a key that could sign, and discovery with which no login can be made, are not kept.
func TestBadAnswersAreNotKept(t *testing.T) {
	t.Parallel()
	f, dir := newFake(t), filepath.Join(t.TempDir(), "cache")
	good := forge.RS256().Token(f.claims())
	keys := f.keys
	for name, bad := range map[string]any{
		"none": map[string]any{"keys": []any{}}, "for encryption": forge.KeySet(published(forge.RS256(), map[string]any{"use": "enc"})), "symmetric": forge.KeySet(map[string]any{"kty": "oct", "k": "AA"}),
	} {
		f.keys = bad
		if err := verify(t.Context(), f.clocked(t, dir, 0), good, idTokenExpectation{nonce: "n"}); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
		f.keys = keys
		if err := verify(t.Context(), f.clocked(t, filepath.Join(t.TempDir(), "cache"), 0), good, idTokenExpectation{nonce: "n"}); err != nil {
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
