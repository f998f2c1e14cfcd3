package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

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
		return []string{"EdDSA", "Ed25519"} // RFC 8037; RFC 9864
	}
	return nil
}

// algorithm returns what the key signs with for a provider that accepts some algorithms; none: it does not say which.
func (k ClientKey) algorithm(accepted []string) (string, error) {
	able := algorithmsOf(k.Signer.Public())
	if len(able) == 0 {
		return "", &keyError{ReasonKeyKind, "the client key is neither RSA of 2048 bits and more, nor ECDSA, nor Ed25519"}
	}
	if k.Algorithm != "" {
		if !slices.Contains(able, k.Algorithm) {
			return "", &keyError{ReasonKeyKind, "the client key can't sign with " + words.Printable(k.Algorithm)}
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
	return "", &keyError{ReasonKeyAlgorithm, fmt.Sprintf("the provider accepts signatures with %s, and the client key "+
		"signs with %s", words.Printable(strings.Join(accepted, ", ")), able[0])}
}

// A keyError says that something can't be done as the client is configured: for want of a key, mostly. It wraps
// ErrConfig.
type keyError struct {
	reason Reason
	text   string
}

func (e *keyError) Error() string { return ErrConfig.Error() + ": " + e.text }

// Unwrap returns ErrConfig.
func (e *keyError) Unwrap() error { return ErrConfig }

// Diagnosis returns e's reason.
func (e *keyError) Diagnosis() Diagnosis { return Diagnosis{Reason: e.reason} }

// signJWT returns a JWT in the compact form (RFC 7515, section 7.1). The header names the algorithm, which fits the
// key.
func signJWT(key crypto.Signer, header, claims map[string]any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
	algorithm, _ := header["alg"].(string)
	signature, err := signature(key, algorithm, []byte(signed))
	if err != nil {
		return "", fmt.Errorf("signing with the client's key: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// signature signs a message (RFC 7518, section 3; RFC 8037, section 3.1).
func signature(key crypto.Signer, algorithm string, message []byte) ([]byte, error) {
	if algorithm == "EdDSA" || algorithm == "Ed25519" {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	h := hash.New()
	_, _ = h.Write(message)
	digest := h.Sum(nil)
	switch algorithm[:2] {
	case "PS":
		return key.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})
	case "ES":
		der, err := key.Sign(rand.Reader, digest, hash)
		if err != nil {
			return nil, err
		}
		return fixedSignature(der, key.Public())
	}
	return key.Sign(rand.Reader, digest, hash)
}

// fixedSignature returns an ECDSA signature in the form of RFC 7518, section 3.4: both numbers, each as long as the
// curve's.
func fixedSignature(der []byte, public crypto.PublicKey) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	key, ok := public.(*ecdsa.PublicKey)
	if rest, err := asn1.Unmarshal(der, &numbers); err != nil || len(rest) > 0 || !ok {
		return nil, errors.New("the signature has another form than ECDSA's")
	}
	size := (key.Params().BitSize + 7) / 8
	fixed := make([]byte, 2*size)
	numbers.R.FillBytes(fixed[:size])
	numbers.S.FillBytes(fixed[size:])
	return fixed, nil
}
