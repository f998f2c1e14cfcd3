package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/words"
)

// leastRSA is the length of the shortest RSA key that signs (RFC 7518, section 3.3), in bits.
const leastRSA = 2048

// algorithmsOf returns the algorithms that a key can sign with, the usual one first; nil: it is no key for signatures.
func algorithmsOf(public crypto.PublicKey) []string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= leastRSA {
			return []string{"RS256", "PS256", "RS384", "PS384", "RS512", "PS512"}
		}
	case *ecdsa.PublicKey:
		switch key.Params().BitSize { // RFC 7518, section 3.4: each curve has one
		case 256:
			return []string{"ES256"}
		case 384:
			return []string{"ES384"}
		case 521:
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"} // RFC 8037
	}
	return nil
}

// algorithm returns what the key signs with for a provider that accepts some algorithms; none: it does not say which.
func (k ClientKey) algorithm(accepted []string) (string, error) {
	able := algorithmsOf(k.Signer.Public())
	if len(able) == 0 {
		return "", &configError{ReasonKeyKind, "the client key is neither RSA of 2048 bits and more, nor ECDSA, nor Ed25519"}
	}
	if k.Algorithm != "" {
		if !slices.Contains(able, k.Algorithm) {
			return "", &configError{ReasonKeyKind, "the client key can't sign with " + words.Printable(k.Algorithm)}
		}
		able = []string{k.Algorithm}
	}
	if len(accepted) == 0 {
		return able[0], nil
	}
	for _, algorithm := range able {
		if slices.Contains(accepted, algorithm) {
			return algorithm, nil
		}
	}
	return "", &configError{ReasonKeyAlgorithm, fmt.Sprintf("the provider accepts signatures with %s, and the client key "+
		"signs with %s", words.Printable(strings.Join(accepted, ", ")), able[0])}
}

// sign returns the claims as a JWT, with a typ unless that is "".
func (k ClientKey) sign(algorithm, typ string, claims map[string]any) (string, error) {
	header := new(jose.SignerOptions)
	if typ != "" {
		header.WithType(jose.ContentType(typ))
	}
	if k.ID != "" {
		header.WithHeader("kid", k.ID)
	}
	if k.Certificate != nil {
		header.WithHeader("x5t#S256", thumbprint(k.Certificate))
	}
	signed, err := signJWT(k.Signer, algorithm, header, claims)
	if err != nil {
		return "", fmt.Errorf("signing with the client's key: %w", err)
	}
	return signed, nil
}

// signJWT returns the claims as a JWT in the compact form (RFC 7515, section 7.1).
func signJWT(key crypto.Signer, algorithm string, header *jose.SignerOptions, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(algorithm), Key: key}, header)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
