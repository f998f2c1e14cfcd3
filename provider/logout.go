package provider

import (
	"context"
	"net/url"
	"strings"
)

// Revoke revokes a refresh token (RFC 7009). ErrNoEndpoint where the provider has no revocation endpoint.
func (p *Provider) Revoke(ctx context.Context, refreshToken Secret) error {
	m, err := p.metadata(ctx, forSession)
	if err != nil {
		return err
	}
	endpoint := m.RevocationEndpoint
	if endpoint == "" {
		if !p.cfg.Auth0 {
			return ErrNoEndpoint
		}
		endpoint = strings.TrimSuffix(p.cfg.Issuer, "/") + "/oauth/revoke"
	}
	_, err = p.post(ctx, m, endpoint, url.Values{"token": {refreshToken.Reveal()}, "token_type_hint": {"refresh_token"}}, nil)
	return err
}

// longestURL is what browsers and servers in between take without complaint.
const longestURL = 6 << 10

// EndSessionURL returns the URL that ends the provider's session in the browser that
// opens it (OpenID Connect RP-Initiated Logout 1.0, section 2; Auth0's /v2/logout
// where discovery hides its end_session_endpoint). ErrNoEndpoint where there is none.
func (p *Provider) EndSessionURL(ctx context.Context, idTokenHint Secret, postLogoutRedirectURI, state string) (string, error) {
	m, err := p.metadata(ctx, forSession)
	if err != nil {
		return "", err
	}
	q := url.Values{"client_id": {p.cfg.ClientID}}
	endpoint := m.EndSessionEndpoint
	switch {
	case endpoint != "":
		if !idTokenHint.IsZero() {
			q.Set("id_token_hint", idTokenHint.Reveal())
		}
		if postLogoutRedirectURI != "" {
			q.Set("post_logout_redirect_uri", postLogoutRedirectURI)
		}
		if state != "" {
			q.Set("state", state)
		}
	case p.cfg.Auth0:
		endpoint = strings.TrimSuffix(p.cfg.Issuer, "/") + "/v2/logout"
		if postLogoutRedirectURI != "" {
			q.Set("returnTo", postLogoutRedirectURI)
		}
	default:
		return "", ErrNoEndpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", &UntrustedError{Check: ErrMalformed, Detail: "the end session endpoint is no URL"}
	}
	all := u.Query()
	for name, values := range q {
		all[name] = values
	}
	u.RawQuery = all.Encode()
	if len(u.String()) > longestURL { // the hint is recommended, not required
		all.Del("id_token_hint")
		u.RawQuery = all.Encode()
	}
	return u.String(), nil
}
