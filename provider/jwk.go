package provider

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// A jwk holds those members of a public key (RFC 7517, section 4; RFC 7518, section 6; RFC 8037) on which a signature
// depends. What it does not hold, such as x5c and x5t, may be written in any way.
type jwk struct {
	Type       string          `json:"kty"`
	ID         string          `json:"kid"`
	Use        string          `json:"use"`
	Operations []string        `json:"key_ops"`
	Algorithm  string          `json:"alg"`
	Curve      string          `json:"crv"`
	N          string          `json:"n"`
	E          string          `json:"e"`
	X          string          `json:"x"`
	Y          string          `json:"y"`
	Private    json.RawMessage `json:"d"`
}

// parseKey decodes a key, and reports whether it is a public one with which signatures can be verified. Weak keys are
// for fitting to refuse.
func parseKey(raw json.RawMessage) (jose.JSONWebKey, bool) {
	var k jwk
	if document(raw, &k) != nil || k.Private != nil || k.Use != "" && k.Use != "sig" {
		return jose.JSONWebKey{}, false
	}
	if k.Operations != nil && !slices.Contains(k.Operations, "verify") {
		return jose.JSONWebKey{}, false
	}
	key := jose.JSONWebKey{KeyID: k.ID, Algorithm: k.Algorithm, Use: k.Use}
	switch k.Type {
	case "RSA":
		key.Key = k.rsa()
	case "EC":
		key.Key = k.ecdsa()
	case "OKP":
		if x := bytesOf(k.X); k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize {
			key.Key = ed25519.PublicKey(x)
		}
	}
	return key, key.Key != nil
}

// rsa returns an RSA key, or nil.
func (k *jwk) rsa() any {
	n, e := new(big.Int).SetBytes(bytesOf(k.N)), new(big.Int).SetBytes(bytesOf(k.E))
	const mostExponent = 1<<31 - 1 // what crypto/rsa takes
	if n.Sign() == 0 || !e.IsInt64() || e.Int64() < 3 || e.Int64() > mostExponent || e.Bit(0) == 0 {
		return nil
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}
}

// ecdsa returns a key on a curve, or nil.
func (k *jwk) ecdsa() any {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve := curves[k.Curve]
	if curve == nil {
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	x, y := bytesOf(k.X), bytesOf(k.Y)
	if len(x) != size || len(y) != size {
		return nil
	}
	point := slices.Concat([]byte{4}, x, y) // SEC 1, section 2.3.3
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil
	}
	return key
}

// bytesOf decodes base64url, with padding or without (RFC 7515, section 2, wants none), and returns nil if it can't.
func bytesOf(text string) []byte {
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil
	}
	return decoded
}
