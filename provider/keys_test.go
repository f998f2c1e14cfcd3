package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// TestKeys verifies signatures by keys that the provider published, and by others.
func TestKeys(t *testing.T) {
	t.Parallel()
	rsa1 := forge.RS256().Public()
	rsa2 := forge.OtherRS256().Public()
	// RFC 7518, section 3.3, wants 2048 bits.
	small := forge.Key{Algorithm: "RS256", ID: "rsa-1", Private: must(rsa.GenerateKey(rand.Reader, 1536))}
	mallory := forge.OtherRS256()
	spki := string(must(x509.MarshalPKIXPublicKey(forge.RS256().Private.Public())))
	type row struct {
		algorithms []string // that discovery advertises; nil: RS256
		keys       map[string]any
		token      func(claims map[string]any) string
		want       error
	}
	advertised := func(k forge.Key) row {
		return row{[]string{k.Algorithm}, forge.KeySet(bare(k)), k.Token, nil}
	}
	for name, c := range map[string]row{
		"one key, its ID": {nil, forge.KeySet(rsa1), forge.RS256().Token, nil},
		"one key, no ID":  {nil, forge.KeySet(rsa1), forge.RS256().Named("").Token, nil},
		"several keys, no ID": {nil, forge.KeySet(rsa2, forge.ES256().Public(), rsa1),
			forge.RS256().Named("").Token, nil},
		"two keys of one ID": {nil, forge.KeySet(forge.OtherRS256().Named("rsa-1").Public(), rsa1),
			forge.RS256().Token, nil},
		"another's key under a known ID": {nil, forge.KeySet(rsa1), mallory.Named("rsa-1").Token, ErrSignature},
		"another's key, no ID":           {nil, forge.KeySet(rsa1), mallory.Named("").Token, ErrSignature},
		"a key that came with the token": {nil, forge.KeySet(rsa1), func(c map[string]any) string {
			return forge.OtherRS256().Sign(map[string]any{"alg": "RS256", "jwk": forge.OtherRS256().Public()}, c)
		}, ErrSignature},
		"broken and unrelated keys beside it": {nil, forge.KeySet(
			map[string]any{"kty": "RSA", "kid": "rsa-1"}, map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa-1"},
			map[string]any{"kty": "new"},
			"no key", 7, nil, map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, rsa1,
		), forge.RS256().Token, nil},
		"a key for encryption": {nil, forge.KeySet(published(forge.RS256(), map[string]any{"use": "enc"})),
			forge.RS256().Token, ErrSignature},
		"a key of another algorithm": {[]string{"RS256", "PS256"}, forge.KeySet(forge.PS256().Public()),
			forge.RS256().Token, ErrSignature},
		"a key that is too small":  {nil, forge.KeySet(small.Public()), small.Token, ErrSignature},
		"no keys":                  {nil, forge.KeySet(), forge.RS256().Token, ErrMalformed},
		"no set":                   {nil, map[string]any{}, forge.RS256().Token, ErrMalformed},
		"HMAC with the public key": {nil, forge.KeySet(rsa1), forge.HS256(forge.RS256().PEM()).Token, ErrAlgorithm},
		"HMAC, and advertised beside RS256": {[]string{"RS256", "HS256", "none"}, forge.KeySet(rsa1),
			forge.HS256(spki).Token, ErrAlgorithm},
		"none advertised beside RS256": {[]string{"RS256", "none"}, forge.KeySet(rsa1), func(c map[string]any) string {
			return forge.Unsigned(map[string]any{"alg": "none"}, c)
		}, ErrAlgorithm},
		"only HMAC advertised": {[]string{"HS256"}, forge.KeySet(rsa1), forge.HS256(spki).Named("").Token, ErrAlgorithm},
		"nothing advertised: RS256": {[]string{}, forge.KeySet(bare(forge.ES256())),
			forge.ES256().Token, ErrAlgorithm},
		"PS256": advertised(forge.RS256().As("PS256")),
		"RS512": advertised(forge.RS256().As("RS512")),
		"ES256": advertised(forge.ES256()),
		"ES384": advertised(forge.ES384()),
		"ES512": advertised(forge.ES512()),
		"EdDSA": advertised(forge.EdDSA()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.keys = c.keys
			if c.algorithms != nil {
				f.set("id_token_signing_alg_values_supported", c.algorithms)
			}
			err := verify(t.Context(), f.client(t), c.token(f.claims()), idTokenExpectation{nonce: "n"})
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && (!errors.Is(err, ErrUntrusted) || strings.Contains(err.Error(), "eyJ")) {
				t.Errorf("not untrusted, or it holds a token: %v", err)
			}
		})
	}
	t.Run("curve", func(t *testing.T) {
		t.Parallel()
		if len(fitting([]jose.JSONWebKey{{Key: forge.ES384().Private.Public()}}, jose.Header{Algorithm: "ES256"})) != 0 {
			t.Error("ES256 with a key of P-384")
		}
	})
}

// TestUnknownKeyIDs: a made-up key ID causes one request for keys, then none for a while, in all processes that share
// the cache.
func TestUnknownKeyIDs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "cache")
	var offset time.Duration
	client := func() *Provider {
		return f.client(t, func(c *Config) { c.CacheDir, c.Now = dir, func() time.Time { return time.Now().Add(offset) } })
	}
	good := forge.RS256().Token(f.claims())
	if err := verify(t.Context(), client(), good, idTokenExpectation{nonce: "n"}); err != nil {
		t.Fatal(err)
	}
	f.count(t, "the first", map[string]int{"/.well-known/openid-configuration": 1, "/keys": 1})
	storm := func(p func() *Provider) {
		for range 5 {
			raw := forge.OtherRS256().Named("garbage").Token(f.claims())
			if err := verify(t.Context(), p(), raw, idTokenExpectation{nonce: "n"}); !errors.Is(err, ErrSignature) {
				t.Errorf("got %v", err)
			}
		}
	}
	storm(client)
	f.count(t, "garbage at once", map[string]int{"/keys": 1})
	offset = time.Minute
	storm(client)
	f.count(t, "garbage a minute later", map[string]int{"/keys": 1})
	// Nor are keys that can't be fetched asked for again and again.
	f.on("/keys", 503, "")
	offset = 2 * time.Minute
	one := client()
	for range 5 {
		raw := forge.OtherRS256().Named("garbage").Token(f.claims())
		if err := verify(t.Context(), one, raw, idTokenExpectation{nonce: "n"}); err == nil {
			t.Error("garbage was believed")
		}
	}
	f.count(t, "garbage while there are no keys", map[string]int{"/keys": 1})
	if err := verify(t.Context(), one, good, idTokenExpectation{nonce: "n"}); err != nil {
		t.Errorf("the key that is known: %v", err)
	}
}
