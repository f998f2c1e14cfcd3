package provider

import (
	"context"
	"crypto"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// A ClientKey is the private key of a client, whose public half is registered with the provider.
type ClientKey struct {
	Signer      crypto.Signer // *rsa.PrivateKey, *ecdsa.PrivateKey (P-256, P-384, P-521) or ed25519.PrivateKey
	ID          string        // kid, as it is registered; "": none is sent
	Algorithm   string        // such as RS256 or ES256; "": one that fits the key and that the provider accepts
	Certificate []byte        // in DER; nil: none. Entra ID knows a key by the hash of its certificate
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertionLife = time.Minute
)

// assertion returns a client assertion (OpenID Connect Core 1.0, section 9; RFC 7523, section 2.2). It is for this
// provider alone and good once. It has no typ: some servers know none but JWT.
func (p *Provider) assertion(ctx context.Context, m *metadata) (string, error) {
	key, algorithm, err := p.clientKey(ctx, m.AssertionAlgorithms, "client assertions")
	if err != nil {
		return "", err
	}
	audience, err := p.assertionAudience(m)
	if err != nil {
		return "", err
	}
	now := p.providerNow()
	signed, err := key.sign(algorithm, "", map[string]any{
		"iss": p.cfg.ClientID, "sub": p.cfg.ClientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	p.redact(signed)
	return signed, err
}

// assertionAudience returns the audience of client assertions: the issuer, as draft-ietf-oauth-rfc7523bis and OpenID
// Connect Core 1.0, section 9, want it, or the token endpoint, where Okta and older servers know no other. A token
// endpoint that another host has is refused: a lying provider could name an honest one's, and use the assertion there.
func (p *Provider) assertionAudience(m *metadata) (string, error) {
	issuer, err := url.Parse(p.cfg.Issuer)
	if err != nil {
		return "", fmt.Errorf("%w: issuer", ErrConfig) // New has parsed it
	}
	if !p.cfg.AssertionToEndpoint && !isOkta(issuer.Hostname()) {
		return p.cfg.Issuer, nil
	}
	if !isAtOrigin(issuer, m.named) {
		return "", &UntrustedError{
			Check:  ErrIssuer,
			detail: "the token endpoint is on another host than the issuer, so no client assertion is made out to it",
		}
	}
	return m.named, nil
}

// isOkta reports whether a host is of Okta's own domains. Okta wants client assertions made out to its token endpoint.
func isOkta(host string) bool {
	host = strings.ToLower(host)
	for _, domain := range []string{".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// clientKey returns the client's key and the algorithm for a signature that the provider accepts for what is signed.
func (p *Provider) clientKey(ctx context.Context, accepted []string, signed string) (ClientKey, string, error) {
	key, err := p.cfg.ClientKey(ctx)
	if err != nil {
		return ClientKey{}, "", err
	}
	if key.Signer == nil {
		return ClientKey{}, "", &configError{ReasonKeyKind, "there is no client key"}
	}
	algorithm, err := key.algorithm(accepted)
	if err != nil {
		p.forgetDiscovery()
		return ClientKey{}, "", fmt.Errorf("%s: %w", signed, err)
	}
	return key, algorithm, nil
}
