package hostile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hash of most algorithms
	_ "crypto/sha512" // EdDSA's at_hash
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// A Key signs, or is published, or both.
type Key struct {
	Algorithm string
	ID        string
	Private   crypto.Signer
}

// The keys are made once: an RSA key takes a while.
var (
	firstRSA  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	secondRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	firstEC   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	firstEd   = sync.OnceValue(func() ed25519.PrivateKey { _, key, err := ed25519.GenerateKey(rand.Reader); return must(key, err) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// RS256 is the key that a Provider begins with.
func RS256() Key { return Key{"RS256", "rsa-1", firstRSA()} }

// NewRS256 is the one that it may rotate to.
func NewRS256() Key { return Key{"RS256", "rsa-2", secondRSA()} }

// PS256 is the same key, used in another way.
func PS256() Key { return Key{"PS256", "rsa-1", firstRSA()} }

// ES256 is on P-256.
func ES256() Key { return Key{"ES256", "ec-1", firstEC()} }

// EdDSA is Ed25519.
func EdDSA() Key { return Key{"EdDSA", "ed-1", firstEd()} }

// Named is the same key under another ID; "" publishes none.
func (k Key) Named(id string) Key {
	k.ID = id
	return k
}

// Public is the key as a key set holds it.
func (k Key) Public() map[string]any {
	raw := must(jose.JSONWebKey{Key: k.Private.Public(), KeyID: k.ID, Algorithm: k.Algorithm, Use: "sig"}.MarshalJSON())
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		panic(err)
	}
	return m
}

// PEM is the public key as a file holds it: what a verifier that is tricked into HMAC takes for its secret.
func (k Key) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(k.Private.Public()))})
}

// Sign makes a JWT with exactly this header; the signature is the key's, whatever the header says.
func (k Key) Sign(header, claims map[string]any) string {
	input := encode(header) + "." + encode(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(k.signature([]byte(input)))
}

func encode(part map[string]any) string {
	return base64.RawURLEncoding.EncodeToString(must(json.Marshal(part)))
}

// signature is that of RFC 7518, section 3, or RFC 8037.
func (k Key) signature(input []byte) []byte {
	hash := crypto.SHA256
	var options crypto.SignerOpts = hash
	switch k.Algorithm {
	case "EdDSA":
		return must(k.Private.Sign(rand.Reader, input, crypto.Hash(0)))
	case "PS256":
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	case "ES256":
		sum := hash.New()
		_, _ = sum.Write(input)
		r, s, err := ecdsa.Sign(rand.Reader, k.Private.(*ecdsa.PrivateKey), sum.Sum(nil))
		if err != nil {
			panic(err)
		}
		both := make([]byte, 64)
		r.FillBytes(both[:32])
		s.FillBytes(both[32:])
		return both
	}
	sum := hash.New()
	_, _ = sum.Write(input)
	return must(k.Private.Sign(rand.Reader, sum.Sum(nil), options))
}

// hash is at_hash of an access token (OpenID Connect Core 1.0, section 3.1.3.6).
func (k Key) hash(access string) string {
	hash := crypto.SHA256
	if strings.HasPrefix(k.Algorithm, "Ed") {
		hash = crypto.SHA512
	}
	sum := hash.New()
	_, _ = sum.Write([]byte(access))
	digest := sum.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}
