// Package forge signs tokens for tests: true ones, and ones that must not be believed. What it takes as a header or as
// claims is signed as it is, so a test can say anything in a token, and sign it by any key.
package forge

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hash of most algorithms
	_ "crypto/sha512" // the hash of the others
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// A Key signs tokens by one algorithm.
type Key struct {
	Algorithm string        // of JOSE (RFC 7518, section 3.1; RFC 8037)
	ID        string        // kid; "": none
	Private   crypto.Signer // nil: HMAC with Secret
	Secret    []byte
}

// Each key is made once, because an RSA key takes a while.
var (
	firstRSA  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	secondRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521      = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	ed25519s  = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// RS256 returns an RSA key named rsa-1.
func RS256() Key { return Key{Algorithm: "RS256", ID: "rsa-1", Private: firstRSA()} }

// OtherRS256 returns another RSA key, named rsa-2: one to rotate to, or an attacker's.
func OtherRS256() Key { return Key{Algorithm: "RS256", ID: "rsa-2", Private: secondRSA()} }

// PS256 returns the key of RS256, used with RSASSA-PSS.
func PS256() Key { return RS256().As("PS256") }

// ES256 returns a key on P-256 named ec-1.
func ES256() Key { return Key{Algorithm: "ES256", ID: "ec-1", Private: p256()} }

// ES384 returns a key on P-384 named ec-384.
func ES384() Key { return Key{Algorithm: "ES384", ID: "ec-384", Private: p384()} }

// ES512 returns a key on P-521 named ec-512.
func ES512() Key { return Key{Algorithm: "ES512", ID: "ec-512", Private: p521()} }

// EdDSA returns an Ed25519 key named ed-1.
func EdDSA() Key { return Key{Algorithm: "EdDSA", ID: "ed-1", Private: ed25519s()} }

// HS256 returns a key that computes an HMAC with secret: what a verifier takes for true that is tricked into using a
// public key, a client secret or nothing as the secret. It bears the name of RS256's key.
func HS256(secret string) Key { return Key{Algorithm: "HS256", ID: "rsa-1", Secret: []byte(secret)} }

// Named returns the key under another ID; "" is none.
func (k Key) Named(id string) Key {
	k.ID = id
	return k
}

// As returns the key, used with another algorithm.
func (k Key) As(algorithm string) Key {
	k.Algorithm = algorithm
	return k
}

// Public returns the public key as a member of a key set (RFC 7517, section 4), with alg, use and kid.
func (k Key) Public() map[string]any {
	jwk := jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}
	var m map[string]any
	if err := json.Unmarshal(must(jwk.MarshalJSON()), &m); err != nil {
		panic(err)
	}
	return m
}

// PEM returns the public key as a file holds it.
func (k Key) PEM() string {
	der := must(x509.MarshalPKIXPublicKey(k.Private.Public()))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// KeySet returns a key set of keys (RFC 7517, section 5), which may be no keys at all.
func KeySet(keys ...any) map[string]any { return map[string]any{"keys": keys} }

// Header returns the header of an honest token: alg, and kid if the key has an ID.
func (k Key) Header() map[string]any {
	header := map[string]any{"alg": k.Algorithm}
	if k.ID != "" {
		header["kid"] = k.ID
	}
	return header
}

// Token returns a JWT with an honest header.
func (k Key) Token(claims map[string]any) string { return k.Sign(k.Header(), claims) }

// Sign returns a JWT with exactly this header. The signature is the key's, whatever the header says.
func (k Key) Sign(header, claims map[string]any) string {
	input := Encode(header) + "." + Encode(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(k.signature([]byte(input)))
}

// Unsigned returns a JWT with exactly this header and an empty signature.
func Unsigned(header, claims map[string]any) string {
	return Encode(header) + "." + Encode(claims) + "."
}

// Encode returns a part of a JWT.
func Encode(part map[string]any) string {
	return base64.RawURLEncoding.EncodeToString(must(json.Marshal(part)))
}

// Claims returns the claims of a JWT, whoever signed it, with numbers as float64.
func Claims(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		panic(fmt.Sprintf("%d parts are no JWT", len(parts)))
	}
	var claims map[string]any
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[1])), &claims); err != nil {
		panic(err)
	}
	return claims
}

// AccessTokenHash returns the at_hash that an ID token signed by the key has for an access token (OpenID Connect Core
// 1.0, section 3.1.3.6).
func (k Key) AccessTokenHash(accessToken string) string {
	digest := sum(k.hash(), []byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}

// hash returns the hash function of the key's algorithm. Ed25519's own is SHA-512.
func (k Key) hash() crypto.Hash {
	switch {
	case strings.HasSuffix(k.Algorithm, "384"):
		return crypto.SHA384
	case strings.HasSuffix(k.Algorithm, "512"), k.Algorithm == "EdDSA":
		return crypto.SHA512
	}
	return crypto.SHA256
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	_, _ = h.Write(data)
	return h.Sum(nil)
}

// signature returns the signature of RFC 7518, section 3, or RFC 8037, section 3.1.
func (k Key) signature(input []byte) []byte {
	hash := k.hash()
	switch k.Algorithm[:2] {
	case "HS":
		mac := hmac.New(hash.New, k.Secret)
		_, _ = mac.Write(input)
		return mac.Sum(nil)
	case "Ed":
		return must(k.Private.Sign(rand.Reader, input, crypto.Hash(0)))
	case "ES": // r and s, each as long as the curve's order
		r, s, err := ecdsa.Sign(rand.Reader, k.Private.(*ecdsa.PrivateKey), sum(hash, input))
		if err != nil {
			panic(err)
		}
		size := (k.Private.(*ecdsa.PrivateKey).Curve.Params().BitSize + 7) / 8
		both := make([]byte, 2*size)
		r.FillBytes(both[:size])
		s.FillBytes(both[size:])
		return both
	case "PS":
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		return must(k.Private.Sign(rand.Reader, sum(hash, input), options))
	}
	return must(k.Private.Sign(rand.Reader, sum(hash, input), hash))
}
