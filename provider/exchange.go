package provider

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// A CodeExchange redeems the authorization code of one login, and says what that login asked for.
type CodeExchange struct {
	Code         Secret
	RedirectURI  string
	CodeVerifier Secret
	Nonce        string
	Scope        string        // what a response without a scope means (RFC 6749, section 5.1)
	Audience     string        // "": none
	Audiences    []string      // further ones that the login asked for
	MaxAge       time.Duration // with it auth_time is demanded; negative or zero: max_age was not sent
	ACR          string        // the acr has to be one of these, with spaces between; "": any
	Organization string        // of Auth0, by ID or by name; "": none
	Prover       *Prover       // the AuthorizationRequest's
}

// Exchange redeems an authorization code (RFC 6749, section 4.1.3; RFC 7636, section 4.5). It asks UserInfo for what
// the scope promises and the ID token lacks.
func (p *Provider) Exchange(ctx context.Context, x CodeExchange) (*Tokens, error) {
	if p.cfg.DPoP && x.Prover == nil {
		return nil, fmt.Errorf("%w: DPoP without a Prover", ErrConfig)
	}
	if err := x.Prover.checkOwn(); err != nil {
		return nil, err
	}
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {x.Code.Reveal()},
		"redirect_uri": {x.RedirectURI}, "code_verifier": {x.CodeVerifier.Reveal()},
	}
	if x.Audience != "" && p.cfg.AudienceParameter == "resource" { // RFC 8707, section 2.2
		form.Set("resource", x.Audience)
	}
	r := tokenResponse{prover: x.Prover}
	if _, err := p.postProven(ctx, m, m.TokenEndpoint, form, x.Prover, &r); err != nil {
		return nil, m.maybeUnproven(x.Prover, err)
	}
	want := idTokenExpectation{nonce: x.Nonce, required: Requirement{x.ACR, x.MaxAge}, organization: x.Organization}
	t, err := p.accept(ctx, m, &r, x.Scope, x.Audience, want)
	if err == nil && p.TakesAudiences() {
		t.Audiences = x.Audiences
	}
	return t, err
}

// accept verifies the token response of a login, which has to hold an ID token unless Config.OAuth says otherwise.
func (p *Provider) accept(
	ctx context.Context, m *metadata, r *tokenResponse, scope, audience string, want idTokenExpectation,
) (*Tokens, error) {
	t, claims, err := p.tokens(r, audience)
	if err != nil {
		return nil, err
	}
	if p.cfg.OAuth {
		if err := checkResource(claims, audience, ReasonResourceIgnored); err != nil {
			return nil, err
		}
		if t.Scope == "" {
			t.Scope = scope
		}
		return t, nil
	}
	if r.IDToken == "" {
		return nil, &UntrustedError{Check: ErrMalformed, detail: "the response holds no ID token", Reason: ReasonNoIDToken}
	}
	want.accessToken = t.AccessToken
	if err := p.acceptIDToken(ctx, m, t, r.IDToken, want); err != nil {
		return nil, err
	}
	reason := ReasonAudienceIgnored
	if p.cfg.AudienceParameter == "resource" && !p.cfg.Auth0 {
		reason = ReasonResourceIgnored
	}
	if err := checkAudience(claims, audience, reason); err != nil {
		return nil, err
	}
	if t.Scope == "" {
		t.Scope = scope
	}
	if err := p.askUserInfo(ctx, m, t); err != nil {
		return nil, err
	}
	return t, nil
}

// acceptIDToken verifies an ID token and adds it to t.
func (p *Provider) acceptIDToken(
	ctx context.Context, m *metadata, t *Tokens, raw string, want idTokenExpectation,
) error {
	claims, expiry, err := p.verifyIDToken(ctx, m, raw, want)
	if err != nil {
		return err
	}
	t.IDToken, t.IDTokenExpiry, t.Claims = NewSecret(raw), expiry.UTC(), claims
	t.SessionExpiry = claims.Time("session_expiry")
	return nil
}
