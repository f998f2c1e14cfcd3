package provider

import (
	"context"
	"net/url"
	"strings"
)

// Revoke revokes a refresh token (RFC 7009). ErrNoEndpoint says that the provider has no revocation endpoint.
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
	form := url.Values{"token": {refreshToken.Reveal()}, "token_type_hint": {"refresh_token"}}
	_, err = p.post(ctx, m, endpoint, form, nil)
	return err
}

// longestURL is the length that browsers and the servers on the way accept.
const longestURL = 6 << 10

// EndSessionURL returns the URL that ends the provider's session in the browser that opens it (OpenID Connect
// RP-Initiated Logout 1.0, section 2). For an Auth0 tenant that hides its endpoint it is Auth0's own /v2/logout.
// ErrNoEndpoint says that there is no such URL.
func (p *Provider) EndSessionURL(
	ctx context.Context, idTokenHint Secret, postLogoutRedirectURI, state string,
) (string, error) {
	m, err := p.metadata(ctx, forSession)
	if err != nil {
		return "", err
	}
	q := url.Values{"client_id": {p.cfg.ClientID}}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	endpoint := m.EndSessionEndpoint
	switch {
	case p.cfg.OAuth: // it has no hint, so the page could only ask
		return "", ErrNoEndpoint
	case p.isCognito(): // discovery names no end_session_endpoint, or one that knows only these two parameters
		u, err := url.Parse(m.AuthorizationEndpoint)
		if err != nil {
			return "", malformed("the authorization endpoint is no URL")
		}
		endpoint = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/logout"}).String()
		set("logout_uri", postLogoutRedirectURI)
	case endpoint != "":
		set("id_token_hint", idTokenHint.Reveal())
		set("post_logout_redirect_uri", postLogoutRedirectURI)
		set("state", state)
	case p.cfg.Auth0:
		endpoint = strings.TrimSuffix(p.cfg.Issuer, "/") + "/v2/logout"
		set("returnTo", postLogoutRedirectURI)
	default:
		return "", ErrNoEndpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", malformed("the end session endpoint is no URL")
	}
	if !q.Has("id_token_hint") && returnsByHint(u) { // then its page ends the session, and does not come back
		q.Del("post_logout_redirect_uri")
		q.Del("state")
	}
	addQuery(u, q)
	if len(u.String()) > longestURL { // the hint is recommended, not required
		all := u.Query()
		all.Del("id_token_hint")
		u.RawQuery = all.Encode()
	}
	return u.String(), nil
}
