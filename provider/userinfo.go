package provider

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// askUserInfo adds the claims that the scope promises and the ID token lacks (OpenID Connect Core 1.0, section 5.3).
func (p *Provider) askUserInfo(ctx context.Context, m *metadata, t *Tokens) error {
	// An access token for an API is often not one for UserInfo. Auth0's are for both.
	if !lacksClaims(t) || m.UserInfoEndpoint == "" || t.Audience != "" && !p.cfg.Auth0 {
		return nil
	}
	resp, again, err := p.requestUserInfo(ctx, m, t)
	if again {
		resp, _, err = p.requestUserInfo(ctx, m, t)
	}
	if err != nil || resp.status != http.StatusOK {
		return nil // the login is good without it
	}
	claims, err := p.userInfo(ctx, m, resp)
	if err != nil {
		return err
	}
	if claims.Subject() != t.Claims.Subject() { // else it must not be used (section 5.3.2)
		return &UntrustedError{Check: ErrSubject, detail: "UserInfo is about another person than the ID token"}
	}
	maps.DeleteFunc(claims, func(name string, _ any) bool {
		_, known := t.Claims[name]
		return known
	})
	t.UserInfo = claims
	return nil
}

// requestUserInfo sends one UserInfo request. again says that it was refused for lack of a nonce that is known now.
func (p *Provider) requestUserInfo(
	ctx context.Context, m *metadata, t *Tokens,
) (resp *response, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.UserInfoEndpoint, nil)
	if err != nil {
		return nil, false, malformed("the UserInfo endpoint is no URL")
	}
	if err := t.Prover.Authorize(req, t.AccessToken); err != nil {
		return nil, false, err
	}
	resp, err = p.sendOnce(ctx, p.own, req) // which shows the certificate that a token may be bound to
	if err != nil {
		return nil, false, err
	}
	return resp, t.Prover.asksForNonce(req.URL, resp.status, resp.header), nil
}

// lacksClaims reports whether the ID token lacks a name or an email address that the granted scope promises.
func lacksClaims(t *Tokens) bool {
	granted := strings.FieldsFunc(t.Scope, func(r rune) bool { return r == ' ' || r == ',' }) // some write commas
	named := t.Claims.Text("name") != "" || t.Claims.Text("nickname") != "" || t.Claims.Text("preferred_username") != ""
	return slices.Contains(granted, "profile") && !named ||
		slices.Contains(granted, "email") && t.Claims.Text("email") == ""
}

// userInfo returns the claims of a UserInfo response, which is JSON, or a JWT signed by the provider.
func (p *Provider) userInfo(ctx context.Context, m *metadata, resp *response) (Claims, error) {
	body := resp.body
	kind, _, _ := strings.Cut(resp.header.Get("Content-Type"), ";")
	if strings.EqualFold(strings.TrimSpace(kind), "application/jwt") {
		keys := &keySet{p: p, m: m, algorithms: m.userInfoAlgorithms()}
		payload, err := keys.verify(ctx, strings.TrimSpace(string(body)))
		if err != nil {
			return nil, err
		}
		body = payload
	}
	var claims Claims
	if object(body, &claims) != nil || claims == nil {
		return nil, malformed("UserInfo is not the JSON that it should be")
	}
	// A signed response names its issuer and its client, and an unsigned one may (section 5.3.2).
	if iss, told := claims["iss"]; told && iss != p.cfg.Issuer {
		return nil, &UntrustedError{Check: ErrIssuer, detail: "UserInfo is from another issuer"}
	}
	if aud, told := claims["aud"]; told && !slices.Contains(audiences(aud), p.cfg.ClientID) {
		return nil, &UntrustedError{Check: ErrAudience, detail: "UserInfo is for another client"}
	}
	return claims, nil
}
