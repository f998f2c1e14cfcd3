// Package clientkey has the private keys by which a client authenticates with its provider: it reads them from files,
// makes them, keeps them in a keystore, and writes their public halves in the forms in which they are registered.
package clientkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// Algorithms are what New makes keys for.
func Algorithms() []string { return []string{"ES256", "RS256", "PS256", "EdDSA"} }

// ErrAlgorithm says that no key is made for an algorithm.
var ErrAlgorithm = errors.New("no key is made for this algorithm")

// New makes a key that signs with an algorithm. Its ID is its thumbprint (RFC 7638).
func New(algorithm string) (jose.JSONWebKey, error) {
	key := jose.JSONWebKey{Algorithm: algorithm, Use: "sig"}
	var err error
	switch algorithm {
	case "RS256", "PS256":
		key.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key.Key, err = ed25519.GenerateKey(rand.Reader)
	default:
		return jose.JSONWebKey{}, fmt.Errorf("%w: %s", ErrAlgorithm, words.Printable(algorithm))
	}
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	key.KeyID = base64.RawURLEncoding.EncodeToString(sum)
	return key, err
}

// signer returns a private key as a provider.Provider takes it.
func signer(key jose.JSONWebKey) (provider.ClientKey, error) {
	private, ok := key.Key.(crypto.Signer)
	if !ok || key.IsPublic() {
		return provider.ClientKey{}, errNoPrivate
	}
	return provider.ClientKey{Signer: private, ID: key.KeyID, Algorithm: key.Algorithm}, nil
}

// PublicPEM returns the public half of a key in the form that Auth0 takes.
func PublicPEM(key jose.JSONWebKey) ([]byte, error) {
	public := key.Public()
	der, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
