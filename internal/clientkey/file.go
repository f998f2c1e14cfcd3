package clientkey

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// Why there is no key that can be used.
const (
	ReasonUnreadable provider.Reason = "key_unreadable" // the file of a key or a certificate can't be read
	ReasonExposed    provider.Reason = "key_exposed"    // others can read a private key's file, or it is another user's
	ReasonEncrypted  provider.Reason = "key_encrypted"  // a private key in a file is encrypted with a passphrase
	ReasonPublic     provider.Reason = "key_public"     // a file holds a public key, where the private one is needed
	ReasonNoKey      provider.Reason = "key_none"       // a file holds no private key in a form that is known, or several
	ReasonKeyless    provider.Reason = "key_keyless"    // the file of a certificate holds no private key
	ReasonMismatch   provider.Reason = "key_mismatch"   // a certificate and a private key do not belong together
	ReasonNotMade    provider.Reason = "key_not_made"   // the client's key is to be in the keystore, and is not there
)

// An Error says why there is no key that can be used. It quotes nothing of what is in a file, and is
// provider.ErrConfig.
type Error struct {
	Path   string          // of the file; "": it is about the keystore
	Reason provider.Reason // "": the system says why
	err    error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.err.Error()
	}
	return "the key file " + words.Printable(e.Path) + ": " + words.Printable(e.err.Error())
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

// Is makes an Error match provider.ErrConfig.
func (*Error) Is(target error) bool { return target == provider.ErrConfig }

// Diagnosis returns the reason.
func (e *Error) Diagnosis() provider.Diagnosis { return provider.Diagnosis{Reason: e.Reason} }

// mostFile is how large a file of keys and certificates may be, in bytes.
const mostFile = 64 << 10

var (
	errNoPrivate = errors.New("it holds a public key, not the private one")
	errEncrypted = errors.New("the key in it is encrypted")
	errNoKey     = errors.New("it holds no private key, neither as PEM (PKCS#8, SEC 1, PKCS#1) nor as JWK")
	errSeveral   = errors.New("it holds several private keys")
	errKeyless   = errors.New("it holds a certificate and no key")
	errMismatch  = errors.New("the certificate is not for this key")
)

// read returns the content of a file. A private one is refused where another user owns it or can read it.
func read(path string, isPrivate bool) ([]byte, error) {
	var content []byte
	var err error
	if isPrivate {
		content, err = private.ReadSecret(path, mostFile)
	} else {
		content, _, err = private.ReadRegular(path, mostFile)
	}
	switch {
	case errors.Is(err, private.ErrExposed):
		return nil, &Error{path, ReasonExposed, err}
	case err != nil:
		return nil, &Error{path, ReasonUnreadable, err}
	}
	return content, nil
}

// Read reads a private key from a file: one key in PEM, or a JWK. A certificate beside a key in PEM must be the key's.
// The file must be this user's, and no other may read it.
func Read(path string) (provider.ClientKey, error) {
	content, err := read(path, true)
	if err != nil {
		return provider.ClientKey{}, err
	}
	key, err := parse(content)
	if err != nil {
		return provider.ClientKey{}, &Error{path, reasonOf(err), err}
	}
	return key, nil
}

// reasonOf returns the reason of an error of this package.
func reasonOf(err error) provider.Reason {
	switch {
	case errors.Is(err, errNoPrivate):
		return ReasonPublic
	case errors.Is(err, errEncrypted):
		return ReasonEncrypted
	case errors.Is(err, errKeyless):
		return ReasonKeyless
	case errors.Is(err, errMismatch):
		return ReasonMismatch
	}
	return ReasonNoKey
}

func parse(content []byte) (provider.ClientKey, error) {
	if text := bytes.TrimSpace(content); len(text) > 0 && text[0] == '{' {
		return parseJWK(text)
	}
	private, chain, err := parsePEM(content)
	switch {
	case err != nil:
		return provider.ClientKey{}, err
	case private == nil:
		return provider.ClientKey{}, errNoKey
	case len(chain) == 0:
		return provider.ClientKey{Signer: private}, nil
	}
	if err := belong(chain[0], private); err != nil {
		return provider.ClientKey{}, err
	}
	return provider.ClientKey{Signer: private, Certificate: chain[0]}, nil
}

// parseJWK decodes a private key, or a key set with one key (RFC 7517).
func parseJWK(text []byte) (provider.ClientKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) == nil && len(set.Keys) > 0 {
		if len(set.Keys) > 1 {
			return provider.ClientKey{}, errSeveral
		}
		text = set.Keys[0]
	}
	var key jose.JSONWebKey
	if key.UnmarshalJSON(text) != nil {
		return provider.ClientKey{}, errNoKey
	}
	return signer(key)
}

// parsePEM returns the private key in PEM, nil if there is none, and the certificates in their order.
func parsePEM(content []byte) (private crypto.Signer, chain [][]byte, err error) {
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return private, chain, nil
		}
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, nil, errEncrypted
		case "PUBLIC KEY", "RSA PUBLIC KEY":
			return nil, nil, errNoPrivate
		case "CERTIFICATE":
			chain = append(chain, block.Bytes)
			continue
		default: // such as EC PARAMETERS
			continue
		}
		if block.Headers["DEK-Info"] != "" {
			return nil, nil, errEncrypted
		}
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok {
			return nil, nil, errNoKey // the parser's own words may quote the key
		}
		if private != nil {
			return nil, nil, errSeveral
		}
		private = signer
	}
}

// belong returns an error if a certificate is not that of a key.
func belong(certificate []byte, key crypto.Signer) error {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return errNoCertificate
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(parsed.PublicKey) {
		return errMismatch
	}
	return nil
}

var errNoCertificate = errors.New("it holds no certificate in PEM")

// ReadCertificate reads a certificate with its chain, and its private key, from two files in PEM, or from one that
// holds both: then keyPath is "".
func ReadCertificate(path, keyPath string) (*tls.Certificate, error) {
	content, err := read(path, keyPath == "")
	if err != nil {
		return nil, err
	}
	key, chain, err := parsePEM(content)
	if err == nil && len(chain) == 0 {
		err = errNoCertificate
	}
	if err != nil {
		return nil, &Error{path, reasonOf(err), err}
	}
	from := path
	if keyPath != "" {
		from = keyPath
		if content, err = read(keyPath, true); err != nil {
			return nil, err
		}
		key, _, err = parsePEM(content)
	}
	switch {
	case err == nil && key == nil && keyPath == "":
		err = errKeyless
	case err == nil && key == nil:
		err = errNoKey
	}
	if err == nil {
		err = belong(chain[0], key)
	}
	if err != nil {
		return nil, &Error{from, reasonOf(err), err}
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key}, nil
}
