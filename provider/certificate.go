package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
)

// aliases are the endpoints where a client shows its certificate (RFC 8705, section 5).
type aliases struct {
	Token      string `json:"token_endpoint"`
	UserInfo   string `json:"userinfo_endpoint"`
	Revocation string `json:"revocation_endpoint"`
	Device     string `json:"device_authorization_endpoint"`
	PAR        string `json:"pushed_authorization_request_endpoint"`
}

// useAliases puts the endpoints where a client shows its certificate in the place of those that they are aliases of.
func (m *metadata) useAliases() {
	for _, e := range []struct {
		endpoint *string
		alias    string
	}{
		{&m.TokenEndpoint, m.TLSAliases.Token}, {&m.UserInfoEndpoint, m.TLSAliases.UserInfo},
		{&m.RevocationEndpoint, m.TLSAliases.Revocation}, {&m.DeviceEndpoint, m.TLSAliases.Device},
		{&m.PAREndpoint, m.TLSAliases.PAR},
	} {
		*e.endpoint = cmp.Or(e.alias, *e.endpoint)
	}
}

// prepareCertificate makes the HTTP client of the requests that the client makes as itself. Only that one shows the
// client's certificate: whoever serves discovery and keys need not know who asks.
func (p *Provider) prepareCertificate() error {
	p.own = p.http
	if p.cfg.ClientCertificate == nil {
		return nil
	}
	transport, ok := p.http.Transport.(*http.Transport)
	if !ok {
		return fmt.Errorf("%w: a client certificate needs an HTTP client whose transport is an *http.Transport", ErrConfig)
	}
	transport = transport.Clone()
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.GetClientCertificate = p.showCertificate
	own := *p.http
	own.Transport = transport
	p.own = &own
	return nil
}

// showCertificate returns the client's certificate for a handshake.
func (p *Provider) showCertificate(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return p.readCertificate(r.Context())
}

// readCertificate returns the client's certificate, and notes which one the provider's tokens may be bound to.
func (p *Provider) readCertificate(ctx context.Context) (*tls.Certificate, error) {
	certificate, err := p.cfg.ClientCertificate(ctx)
	if err == nil && len(certificate.Certificate) > 0 {
		shown := thumbprint(certificate.Certificate[0])
		p.shown.Store(&shown)
	}
	return certificate, err
}

// checkCertificateBinding compares the certificate that an access token is bound to, if it is a JWT that says so (RFC
// 8705, section 3.1). One that is bound to another certificate than the client's is of no use here.
func (p *Provider) checkCertificateBinding(claims Claims) error {
	confirmation, _ := claims["cnf"].(map[string]any)
	bound, told := confirmation["x5t#S256"]
	if !told {
		return nil
	}
	if shown := p.shown.Load(); shown != nil && bound == *shown {
		return nil
	}
	return &UntrustedError{
		Check: ErrTokenType, Reason: ReasonBoundElsewhere,
		detail: "the access token is bound to a certificate that is not the client's",
	}
}

// thumbprint returns the hash of a certificate by which keys and tokens are known (RFC 7515, section 4.1.8).
func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
