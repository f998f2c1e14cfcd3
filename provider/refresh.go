package provider

import (
	"context"
	"errors"
	"net/url"
	"time"
)

// A RefreshRequest asks for new tokens by a refresh token (RFC 6749, section 6).
type RefreshRequest struct {
	RefreshToken Secret
	Scope        string // "": as granted
	Audience     string // sent as audience or resource; "": the default one

	// What the first ID token said. A renewed one must say the same (OpenID Connect Core 1.0, section 12.2).
	Subject      string
	AuthTime     time.Time // zero: it had none
	Nonce        string    // "": not known
	Organization string    // its org_id (Auth0); "": it had none

	// Prover is the login's, by RestoreProver; nil: the login was made without one.
	Prover *Prover

	// Unproven demands a new ID token, because the refresh token came with one that was not believed. It is the Unproven
	// of the Tokens that brought the refresh token.
	Unproven bool
}

// Refresh makes one token request (RFC 6749, section 6), and a second one only if the first never reached the
// provider's token endpoint, which has moved. A new ID token has to be about the same user and the same
// authentication (OpenID Connect Core 1.0, section 12.2).
//
// Tokens that come with an error hold a new refresh token and nothing else. The caller must store it: the old one is
// used up, and one response that was not believed is no reason to lose the session. What the new one brings is
// verified again. With any other error the tokens are nil, and MaybeSent tells whether the refresh token may be used
// up nevertheless.
func (p *Provider) Refresh(ctx context.Context, r RefreshRequest) (*Tokens, error) {
	if err := r.Prover.checkOwn(); err != nil {
		return nil, err
	}
	m, err := p.metadata(ctx, forSession)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.RefreshToken.Reveal()}}
	if r.Scope != "" {
		form.Set("scope", r.Scope)
	}
	if r.Audience != "" {
		form.Set(p.cfg.AudienceParameter, r.Audience)
	}
	resp := tokenResponse{prover: r.Prover}
	_, err = p.postProven(ctx, m, m.TokenEndpoint, form, r.Prover, &resp)
	if newer := p.moved(ctx, m, err); newer != nil {
		m, resp = newer, tokenResponse{prover: r.Prover}
		_, err = p.postProven(ctx, m, m.TokenEndpoint, form, r.Prover, &resp)
	}
	if refused := new(RefusedError); errors.As(err, &refused) && refused.Reason == "" {
		refused.Reason = ReasonRefreshRefused // some providers have another code for it than invalid_grant
	}
	if errors.Is(err, ErrUntrusted) {
		return nil, &unusableError{err}
	}
	if err != nil {
		return nil, err
	}
	return p.acceptRenewal(ctx, m, &resp, r)
}

// acceptRenewal verifies the token response of a refresh.
func (p *Provider) acceptRenewal(
	ctx context.Context, m *metadata, resp *tokenResponse, r RefreshRequest,
) (*Tokens, error) {
	t, claims, err := p.tokens(resp, r.Audience)
	rotated := p.rotated(resp, r)
	switch {
	case err != nil && rotated == nil && resp.RefreshToken != "":
		return nil, &unusableError{err}
	case err != nil:
		return rotated, err
	case p.cfg.OAuth:
		if err := checkResource(claims, r.Audience, ReasonAudienceNotRenewed); err != nil {
			return rotated, err
		}
		return t, nil
	case resp.IDToken != "":
		err = p.acceptIDToken(ctx, m, t, resp.IDToken, idTokenExpectation{
			renewed: true, keys: forSession, accessToken: t.AccessToken,
			subject: r.Subject, authTime: r.AuthTime, nonce: r.Nonce, organization: r.Organization,
		})
	case r.Unproven:
		err = &UntrustedError{
			Check: ErrSubject, Reason: ReasonUnproven,
			detail: "the response holds no ID token, and the one before was not to be believed",
		}
	}
	if err != nil { // it is not known whose the refresh token is
		if rotated != nil {
			rotated.Unproven = true
		}
		return rotated, err
	}
	if err := checkAudience(claims, r.Audience, ReasonAudienceNotRenewed); err != nil {
		return rotated, err
	}
	return t, nil
}

// rotated returns the refresh token that takes the place of the one that was sent, or nil if none came that can be
// used. It is as unproven as the old one was.
func (p *Provider) rotated(resp *tokenResponse, r RefreshRequest) *Tokens {
	token := resp.RefreshToken
	if token == "" || token == r.RefreshToken.Reveal() || !usableToken(token) {
		return nil
	}
	return &Tokens{RefreshToken: NewSecret(token), RefreshExpiry: refreshExpiry(resp, p.now()), Unproven: r.Unproven}
}
