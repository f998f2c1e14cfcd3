package tenant

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
)

// aliasPrefix begins the paths of the endpoints where a client shows its certificate (RFC 8705, section 5).
const aliasPrefix = "/mtls"

// withTLS returns a listener that serves TLS and asks clients for a certificate, or the listener itself.
func (cfg *Config) withTLS(listener net.Listener) (l net.Listener, scheme string) {
	if cfg.Certificate == nil {
		return listener, "http"
	}
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cfg.Certificate}, ClientAuth: tls.RequestClientCert,
	}), "https"
}

// aliases returns the endpoints where a client shows its certificate, for discovery.
func (t *Tenant) aliases() map[string]string {
	return map[string]string{
		"token_endpoint":                        t.url(aliasPrefix + t.path("/oauth/token", "/token")),
		"pushed_authorization_request_endpoint": t.url(aliasPrefix + t.path("/oauth/par", "/par")),
		"revocation_endpoint":                   t.url(aliasPrefix + t.path("/oauth/revoke", "/revoke")),
		"device_authorization_endpoint":         t.url(aliasPrefix + t.path("/oauth/device/code", "/device/code")),
		"userinfo_endpoint":                     t.url(aliasPrefix + "/userinfo"),
	}
}

// SetCertificate registers the certificate of a client, by its thumbprint, in place of the one before.
func (t *Tenant) SetCertificate(clientID, thumbprint string) {
	client := t.client(clientID)
	t.mu.Lock()
	defer t.mu.Unlock()
	client.CertificateThumbprint = thumbprint
}

// certificateOf returns the thumbprint and the subject that a client is registered with.
func (t *Tenant) certificateOf(client *Client) (thumbprint, subject string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return client.CertificateThumbprint, client.CertificateSubject
}

// hasCertificate reports whether a client authenticates by a certificate.
func (t *Tenant) hasCertificate(client *Client) bool {
	registered, subject := t.certificateOf(client)
	return registered != "" || subject != ""
}

// shown returns the certificate that a request came with at one of the aliases, or nil.
func (t *Tenant) shown(r *http.Request) *x509.Certificate {
	atAlias := strings.HasPrefix(r.URL.Path, strings.TrimSuffix(t.cfg.Path, "/")+aliasPrefix+"/")
	if !atAlias || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}

// checkCertificate returns what is wrong with the certificate by which a client authenticates, or "" (RFC 8705, section
// 2): it has to be the registered one, or one that an authority of Config.ClientCAs issued to the registered subject.
func (t *Tenant) checkCertificate(r *http.Request, client *Client) string {
	certificate := t.shown(r)
	registered, subject := t.certificateOf(client)
	switch {
	case certificate == nil:
		return "the client has to show its certificate, at an alias of the endpoint"
	case r.PostForm.Has("client_secret") || r.PostForm.Has("client_assertion"):
		return "the client authenticates twice"
	case registered != "" && thumbprint(certificate) != registered:
		return "the certificate is not the registered one"
	case subject == "":
		return ""
	case certificate.Subject.String() != subject:
		return "the certificate has another subject"
	}
	_, err := certificate.Verify(x509.VerifyOptions{
		Roots: t.cfg.ClientCAs, CurrentTime: t.cfg.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "no known authority issued the certificate"
	}
	return ""
}

// boundTo returns the thumbprint of the certificate that the tokens of a request are bound to, or "".
func (t *Tenant) boundTo(r *http.Request, client *Client) string {
	certificate := t.shown(r)
	if certificate == nil || !t.hasCertificate(client) && !client.BindsToCertificate {
		return ""
	}
	return thumbprint(certificate)
}

// thumbprint returns the hash that stands for a certificate in cnf (RFC 8705, section 3.1).
func thumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
