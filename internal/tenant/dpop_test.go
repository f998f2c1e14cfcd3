package tenant

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The tenant accepts no proof that RFC 9449, section 4.3, says a server has to refuse, and none twice.
func TestProofChecks(t *testing.T) {
	t.Parallel()
	started, err := Start(t.Context(), Config{DPoP: true, ProofNonce: true, Alg: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("access"))
	good := map[string]any{
		"jti": "1", "htm": "POST", "htu": "http://tenant.example/token", "iat": time.Now().Unix(),
		"nonce": started.proofNonce, "ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	sign := func(alg jose.SignatureAlgorithm, with any, typ string, jwk any, claims map[string]any) string {
		t.Helper()
		options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
		if jwk != nil {
			options = options.WithHeader("jwk", jwk)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: with}, options)
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := json.Marshal(claims)
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		compact, _ := signed.CompactSerialize()
		return compact
	}
	public := jose.JSONWebKey{Key: key.Public()}
	with := func(name string, value any) string {
		claims := maps.Clone(good)
		claims["jti"] = rand.Text()
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return sign(jose.ES256, key, "dpop+jwt", public, claims)
	}
	once := with("x", 1)
	for _, c := range []struct {
		name   string
		proofs []string
		code   string // "": accepted
	}{
		{"good", []string{once}, ""},
		{"used before", []string{once}, "invalid_dpop_proof"},
		{"another host's case", []string{with("htu", "HTTP://Tenant.Example/token")}, ""},
		{"two of them", []string{with("x", 1), with("x", 1)}, "invalid_dpop_proof"},
		{"no JWT", []string{"a.b.c"}, "invalid_dpop_proof"},
		{"another typ", []string{sign(jose.ES256, key, "jwt", public, good)}, "invalid_dpop_proof"},
		{"no key", []string{sign(jose.ES256, key, "dpop+jwt", nil, good)}, "invalid_dpop_proof"},
		{"another's key", []string{sign(jose.ES256, other, "dpop+jwt", public, good)}, "invalid_dpop_proof"},
		{"a private key", []string{sign(jose.ES256, key, "dpop+jwt", jose.JSONWebKey{Key: key}, good)}, "invalid_dpop_proof"},
		{"symmetric", []string{sign(jose.HS256, make([]byte, 32), "dpop+jwt", public, good)}, "invalid_dpop_proof"},
		{"no jti", []string{with("jti", nil)}, "invalid_dpop_proof"},
		{"another method", []string{with("htm", "GET")}, "invalid_dpop_proof"},
		{"another URL", []string{with("htu", "http://tenant.example/other")}, "invalid_dpop_proof"},
		{"another scheme", []string{with("htu", "https://tenant.example/token")}, "invalid_dpop_proof"},
		{"with a query", []string{with("htu", "http://tenant.example/token?q=1")}, "invalid_dpop_proof"},
		{"long ago", []string{with("iat", time.Now().Add(-2*time.Minute).Unix())}, "invalid_dpop_proof"},
		{"of the future", []string{with("iat", time.Now().Add(2*time.Minute).Unix())}, "invalid_dpop_proof"},
		{"no iat", []string{with("iat", nil)}, "invalid_dpop_proof"},
		{"another token", []string{with("ath", "AAAA")}, "invalid_dpop_proof"},
		{"no ath", []string{with("ath", nil)}, "invalid_dpop_proof"},
		{"another nonce", []string{with("nonce", "old")}, "use_dpop_nonce"},
		{"no nonce", []string{with("nonce", nil)}, "use_dpop_nonce"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://tenant.example/token?q=1", nil)
		r.Header["Dpop"] = c.proofs
		thumbprint, refused := started.proof(r, "access")
		code := ""
		if refused != nil {
			code = refused.code
		}
		if code != c.code || (thumbprint != "") != (c.code == "") {
			t.Errorf("%s: %q, %+v", c.name, thumbprint, refused)
		}
	}
}
