package tenant

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// A signingKey signs tokens under its key ID.
type signingKey struct {
	id      string
	alg     jose.SignatureAlgorithm
	private crypto.Signer
}

func newSigningKey(alg string) (*signingKey, error) {
	key := &signingKey{id: rand.Text()[:12], alg: jose.SignatureAlgorithm(alg)}
	var err error
	switch alg {
	case "RS256", "PS256":
		key.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("tenant: no signing with %q", alg)
	}
	if err != nil {
		return nil, fmt.Errorf("tenant: a signing key: %w", err)
	}
	return key, nil
}

// RotateKeys makes the tenant sign with a new key from now on. The key before it stays in the key set.
func (t *Tenant) RotateKeys() {
	key, err := newSigningKey(t.cfg.Alg)
	if err != nil {
		return // not reached: the algorithm worked in Start
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = append([]*signingKey{key}, t.keys[:1]...)
}

func (t *Tenant) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", t.cfg.CacheControl)
	writeJSON(w, http.StatusOK, t.Keys())
}

// Keys returns the public keys that the tenant signs with.
func (t *Tenant) Keys() jose.JSONWebKeySet {
	t.mu.Lock()
	defer t.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, key := range t.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: key.private.Public(), KeyID: key.id, Algorithm: string(key.alg), Use: "sig",
		})
	}
	return set
}

// sign returns a signed JWT whose typ header is kind.
func (t *Tenant) sign(kind string, claims map[string]any) (string, error) {
	t.mu.Lock()
	key := t.keys[0]
	t.mu.Unlock()
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("tenant: claims: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(kind)).WithHeader("kid", key.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.alg, Key: key.private}, options)
	if err != nil {
		return "", fmt.Errorf("tenant: signing: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("tenant: signing: %w", err)
	}
	return signed.CompactSerialize()
}

// accessTokenHash returns the claim at_hash (OpenID Connect Core 1.0, section 3.1.3.6).
func (t *Tenant) accessTokenHash(token string) string {
	hash := crypto.SHA256
	if t.cfg.Alg == "EdDSA" {
		hash = crypto.SHA512
	}
	h := hash.New()
	_, _ = h.Write([]byte(token))
	sum := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// verifyOwn returns the claims of a token that this tenant signed. It accepts an expired token.
func (t *Tenant) verifyOwn(raw string) (map[string]any, bool) {
	algorithms := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(t.cfg.Alg)}
	jws, err := jose.ParseSignedCompact(strings.TrimSpace(raw), algorithms)
	if err != nil {
		return nil, false
	}
	t.mu.Lock()
	keys := t.keys
	t.mu.Unlock()
	for _, key := range keys {
		if payload, err := jws.Verify(key.private.Public()); err == nil {
			var claims map[string]any
			return claims, json.Unmarshal(payload, &claims) == nil
		}
	}
	return nil, false
}
