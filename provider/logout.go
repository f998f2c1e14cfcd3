package provider

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/words"
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

// VerifyLogoutToken verifies a logout token (OpenID Connect Back-Channel Logout 1.0,
// section 2.6). Whether its ID was seen before is the caller's to know.
func (p *Provider) VerifyLogoutToken(ctx context.Context, raw string) (*LogoutToken, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxToken || strings.Count(raw, ".") != 2 {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the logout token is no signed JWT"}
	}
	claims, err := decodeClaims(raw)
	if err != nil {
		return nil, err
	}
	if typ := joseHeader(raw).Typ; !slices.Contains([]string{"", "jwt", "logout+jwt", "application/logout+jwt"}, strings.ToLower(typ)) {
		return nil, &UntrustedError{Check: ErrTokenType, Detail: fmt.Sprintf("a logout token is of type logout+jwt, not %q", words.Printable(typ))}
	}
	now := p.now()
	keys := &keySet{p: p, m: m, algorithms: m.algorithms()}
	_, refused := oidc.NewVerifier(p.cfg.Issuer, keys, &oidc.Config{
		ClientID: p.cfg.ClientID, SupportedSigningAlgs: m.algorithms(), Now: func() time.Time { return now.Add(-clockLeeway) },
	}).VerifyLogout(ctx, raw)
	if keys.err != nil {
		return nil, keys.err
	}
	// Each check once more, for its name: go-oidc's refusal is a text, and it knows nothing of iat.
	if err := p.checkClaims(claims, now, "logout token"); err != nil {
		return nil, err
	}
	_, hasNonce := claims["nonce"]
	events, _ := claims["events"].(map[string]any)
	_, isLogout := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	issued := claims.Time("iat")
	switch {
	case hasNonce:
		return nil, &UntrustedError{Check: ErrNonce, Detail: "a logout token has no nonce"}
	case !isLogout:
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the token is about another event than a logout"}
	case issued.IsZero() || issued.After(now.Add(clockLeeway)) || now.Sub(issued) > 5*time.Minute:
		return nil, p.clockError(ErrIssuedAt, "", "the logout token is not of now")
	case claims.Subject() == "" && claims.Text("sid") == "":
		return nil, &UntrustedError{Check: ErrSubject, Detail: "the logout token names neither a person nor a session"}
	case claims.Text("jti") == "":
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the logout token has no ID"}
	case refused != nil:
		return nil, p.explainVerify(m, raw, claims, now, "logout token")
	}
	return &LogoutToken{Subject: claims.Subject(), SessionID: claims.Text("sid"), ID: claims.Text("jti"), IssuedAt: issued}, nil
}
