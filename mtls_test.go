package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A selfSigned is a certificate that its own key has signed.
type selfSigned struct {
	der []byte
	key crypto.Signer
}

// newCertificate returns a certificate for the loopback address, or for a client.
func newCertificate(ts *testscript.TestScript, usage x509.ExtKeyUsage) selfSigned {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: keyed}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	return selfSigned{der, key}
}

func (c selfSigned) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.der})
}

func (c selfSigned) keyPEM(ts *testscript.TestScript) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	ts.Check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (c selfSigned) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{c.der}, PrivateKey: c.key}
}

// serverCertificate returns the certificate of a provider with TLS, which the programs of the script trust.
func (s *script) serverCertificate(ts *testscript.TestScript) *tls.Certificate {
	c := newCertificate(ts, x509.ExtKeyUsageServerAuth)
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), c.pem(), 0o600))
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("ca.pem"))
	return c.tls()
}

// clientCertificate writes a certificate and its key, into one file or two, and registers it for the client keyed
// unless it is a stranger's.
func (s *script) clientCertificate(ts *testscript.TestScript, args []string) {
	c := newCertificate(ts, x509.ExtKeyUsageClientAuth)
	content, key := c.pem(), c.keyPEM(ts)
	if len(args) > 1 && args[1] != "stranger" {
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), key, 0o600))
	} else {
		content = append(content, key...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
	if args[len(args)-1] != "stranger" {
		sum := sha256.Sum256(c.der)
		s.tenant.SetCertificate(keyed, base64.RawURLEncoding.EncodeToString(sum[:]))
	}
}
