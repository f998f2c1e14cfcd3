package clientkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// A key is read in each form in which tools write it; what is none is refused by its name, and nothing of it is quoted.
func TestRead(t *testing.T) {
	t.Parallel()
	ec, rsaKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(rsa.GenerateKey(rand.Reader, 2048))
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "c"}, NotAfter: time.Now().Add(time.Hour),
	}
	certificate := block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, ec.Public(), ec)))
	pkcs8 := block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec)))
	jwk := jose.JSONWebKey{Key: ec, KeyID: "k1", Algorithm: "ES256"}
	public := jwk.Public()
	encoded := must(json.Marshal(jwk))
	for name, c := range map[string]struct {
		content []byte
		id      string
		reason  provider.Reason // "": it is read
	}{
		"PKCS8":              {pkcs8, "", ""},
		"SEC1":               {block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))), "", ""},
		"PKCS1":              {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "", ""},
		"with parameters":    {slices.Concat(block("EC PARAMETERS", []byte{6, 0}), pkcs8), "", ""},
		"with a certificate": {slices.Concat(certificate, pkcs8), "", ""},
		"JWK":                {encoded, "k1", ""},
		"a set of one":       {fmt.Appendf(nil, `{"keys":[%s]}`, encoded), "k1", ""},
		"a set of two":       {fmt.Appendf(nil, `{"keys":[%s,%s]}`, encoded, encoded), "", ReasonNoKey},
		"another's certificate": {
			slices.Concat(certificate, block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(other)))), "", ReasonMismatch,
		},
		"public JWK":      {must(json.Marshal(public)), "", ReasonPublic},
		"public PEM":      {must(PublicPEM(jwk)), "", ReasonPublic},
		"symmetric JWK":   {[]byte(`{"kty":"oct","k":"c2VjcmV0LXRoYXQtaXMtbm90LXF1b3RlZA"}`), "", ReasonPublic},
		"two keys":        {slices.Concat(pkcs8, pkcs8), "", ReasonNoKey},
		"encrypted":       {block("ENCRYPTED PRIVATE KEY", []byte("x")), "", ReasonEncrypted},
		"damaged":         {block("PRIVATE KEY", []byte("secret-that-is-not-quoted")), "", ReasonNoKey},
		"a certificate":   {certificate, "", ReasonNoKey},
		"empty":           {nil, "", ReasonNoKey},
		"a client secret": {[]byte("secret-that-is-not-quoted"), "", ReasonNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := Read(path)
			if c.reason == "" {
				if err != nil || key.Signer == nil || key.ID != c.id || (key.Certificate != nil) != (name == "with a certificate") {
					t.Errorf("%+v, %v", key, err)
				}
				return
			}
			if provider.Diagnose(err).Reason != c.reason || !errors.Is(err, provider.ErrConfig) ||
				!strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "not-quoted") {
				t.Errorf("%v (%s)", err, provider.Diagnose(err).Reason)
			}
		})
	}
}

// A private key that others can read is no secret any more, and what is no file is never waited for.
func TestReadRefusesExposed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing here")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	content := block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); provider.Diagnose(err).Reason != ReasonExposed {
			t.Errorf("%o: %v", mode, err)
		}
		if _, err := ReadCertificate(path, ""); provider.Diagnose(err).Reason != ReasonExposed {
			t.Errorf("%o, as a certificate's: %v", mode, err)
		}
	}
	for _, none := range []string{dir, os.DevNull, filepath.Join(dir, "missing")} {
		if _, err := Read(none); err == nil || !errors.Is(err, provider.ErrConfig) {
			t.Errorf("%s: %v", none, err)
		}
	}
}

// The keys of one client are kept apart from another's, and what a crash or a hand has damaged is never overwritten.
func TestRing(t *testing.T) {
	t.Parallel()
	store, dir := keystore.Memory(), t.TempDir()
	ring := Ring{Store: store, StateDir: dir, Issuer: "https://a.example", ClientID: "c"}
	if _, err := ring.Signer(t.Context()); !errors.Is(err, ErrNone) || provider.Diagnose(err).Reason != ReasonNotMade {
		t.Errorf("no key: %v", err)
	}
	key := must(New("ES256"))
	put := func(k *Keys) error {
		return ring.Change(t.Context(), func(*Keys) (*Keys, error) { return k, nil })
	}
	if err := put(&Keys{Current: key}); err != nil {
		t.Fatal(err)
	}
	if got, err := ring.Signer(t.Context()); err != nil || got.ID != key.KeyID || got.Algorithm != "ES256" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, other := range []Ring{
		{Store: store, StateDir: dir, Issuer: "https://b.example", ClientID: "c"},
		{Store: store, StateDir: dir, Issuer: "https://a.example", ClientID: "d"},
	} {
		if _, err := other.Load(t.Context()); !errors.Is(err, ErrNone) {
			t.Errorf("%s, %s: %v", other.Issuer, other.ClientID, err)
		}
	}
	err := ring.Change(t.Context(), func(k *Keys) (*Keys, error) {
		if err := put(k); !errors.Is(err, ErrBusy) {
			t.Errorf("two at a time: %v", err)
		}
		return nil, errors.New("not after all")
	})
	if k, loadErr := ring.Load(t.Context()); err == nil || loadErr != nil || k.Current.KeyID != key.KeyID {
		t.Errorf("a change that failed: %v, %v", err, loadErr)
	}
	set := must(json.Marshal((&Keys{Current: key, Next: &key}).Public()))
	if strings.Contains(string(set), `"d"`) || strings.Count(string(set), `"kid"`) != 2 {
		t.Errorf("public: %s", set)
	}
	if err := store.Save(t.Context(), ring.name(), keystore.Record{Head: []byte("{}"), Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if err := put(&Keys{Current: key}); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("a damaged record: %v", err)
	}
	if err := ring.Delete(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := ring.Load(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("deleted: %v", err)
	}
}
