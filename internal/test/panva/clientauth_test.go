package panva_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/test/panva"
	"github.com/loopkey/loopkey/provider"
)

// certificate returns a certificate that its own key has signed, in DER and in PEM.
func certificate(t *testing.T, key *ecdsa.PrivateKey) (der []byte, inPEM, keyInPEM string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "loopkey"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, content []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
	}
	return der, encode("CERTIFICATE", der), encode("PRIVATE KEY", private)
}

// A certified provider knows the client by its key or its certificate at every endpoint, takes its signed requests,
// pushed and not, and binds its tokens to the certificate. All of it at one provider, with TLS.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, inPEM, keyInPEM := certificate(t, key)
	s := panva.Start(t, panva.Options{
		Certificate: inPEM, Key: keyInPEM, // the provider's own, too: one certificate does for both
		ClientKeys: map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256",
			"x":   base64.RawURLEncoding.EncodeToString(key.X.FillBytes(make([]byte, 32))),
			"y":   base64.RawURLEncoding.EncodeToString(key.Y.FillBytes(make([]byte, 32))),
			"x5c": []string{base64.StdEncoding.EncodeToString(der)},
		}}},
	})
	sum := sha256.Sum256(der)
	thumbprint := base64.RawURLEncoding.EncodeToString(sum[:])
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(inPEM))
	connect := func(id string, change func(*provider.Config)) *provider.Provider {
		cfg := provider.Config{Issuer: s.Issuer, ClientID: id, HTTPClient: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		}}}
		change(&cfg)
		p, err := provider.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	signer := func(private *ecdsa.PrivateKey) func(*provider.Config) {
		return func(cfg *provider.Config) {
			cfg.ClientKey = func(context.Context) (provider.ClientKey, error) {
				return provider.ClientKey{Signer: private, ID: "k1"}, nil
			}
		}
	}
	shown := func(cfg *provider.Config) {
		cfg.ClientCertificate = func(context.Context) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
		}
	}
	pushed := func(change func(*provider.Config)) func(*provider.Config) {
		return func(cfg *provider.Config) {
			change(cfg)
			cfg.Push = true
		}
	}
	for name, p := range map[string]*provider.Provider{
		"private_key_jwt": connect(panva.Keyed, signer(key)),
		"signed": connect(panva.KeyedSigned, func(cfg *provider.Config) {
			signer(key)(cfg)
			cfg.SignRequests = true
		}),
		"signed and pushed": connect(panva.KeyedSigned, pushed(func(cfg *provider.Config) {
			signer(key)(cfg)
			cfg.SignRequests = true
		})),
		"signed, and public": connect(panva.PublicSigned, func(cfg *provider.Config) {
			signer(key)(cfg)
			cfg.SignRequests, cfg.Public = true, true
		}),
		"mTLS, pushed": connect(panva.Certified, pushed(shown)),
	} {
		tokens := login{audience: panva.Orders, scope: "openid offline_access read"}.run(t, s, p)
		access, err := jose.ParseSignedCompact(tokens.AccessToken.Reveal(), []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		payload := string(access.UnsafePayloadWithoutVerification())
		if bound := strings.Contains(payload, thumbprint); bound != strings.HasPrefix(name, "mTLS") {
			t.Errorf("%s: bound to the certificate: %t", name, bound)
		}
		renewed, err := p.Refresh(t.Context(), provider.RefreshRequest{
			RefreshToken: tokens.RefreshToken, Audience: panva.Orders, Subject: panva.Subject,
		})
		if err != nil {
			t.Errorf("%s: renewing: %v", name, err)
			continue
		}
		// This provider wants a request object also for a device code, which no specification has.
		_, err = p.StartDevice(t.Context(), "openid", "")
		if err != nil && !strings.HasPrefix(name, "signed") {
			t.Errorf("%s: a code for a device: %v", name, err)
		}
		if err := p.Revoke(t.Context(), renewed.RefreshToken); err != nil {
			t.Errorf("%s: revoking: %v", name, err)
		}
	}
	// A key that is not registered gets nothing, nor does a request that is not signed where it has to be.
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = connect(panva.Keyed, signer(other)).StartDevice(t.Context(), "openid", "")
	if !errors.Is(err, provider.ErrRefused) || provider.Diagnose(err).Reason != provider.ReasonClientKeyRefused {
		t.Errorf("another key: %v", err)
	}
	_, err = connect(panva.KeyedSigned, pushed(signer(key))).AuthorizationURL(t.Context(), provider.AuthorizationRequest{
		RedirectURI: redirectURI, State: "s", Nonce: "n", Scope: "openid", CodeChallenge: thumbprint,
	})
	if !errors.Is(err, provider.ErrRefused) {
		t.Errorf("not signed: %v", err)
	}
}
