package provider

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An Issued is a token that came without a login: for the client itself, for another token, or for an assertion.
type Issued struct {
	Token     Secret
	TokenType string    // Bearer or DPoP; "N_A" where IsAccessToken is false
	Kind      string    // issued_token_type (RFC 8693, section 3); "": an access token, by a grant that has no other
	Expiry    time.Time // the earlier of expires_in and a JWT's exp; zero: the provider gave none
	Scope     string    // as granted, which may be less than was asked for; as asked, where nothing says it
	Audience  string    // as asked; "" is the provider's default
}

// notAvailable is the token_type of a token that is no access token (RFC 8693, section 2.2.1).
const notAvailable = "N_A"

// IsAccessToken reports whether the token is one for the header of a request. An exchange can bring another one, such
// as an ID token.
func (i *Issued) IsAccessToken() bool { return i.TokenType != notAvailable }

// A Target says what a token is to be good for.
type Target struct {
	Audience  string   // sent as audience or resource; "": the provider's default
	Resources []string // further ones, always sent as resource (RFC 8707, section 2.2)
	Scope     string   // space-separated; "": what the provider gives
}

// form returns the parameters of a token request for a target, with the audience under a name.
func (t Target) form(grantType, audienceParameter string) url.Values {
	form := url.Values{"grant_type": {grantType}}
	if len(t.Resources) > 0 {
		form["resource"] = slices.Clone(t.Resources)
	}
	if t.Audience != "" {
		form.Add(audienceParameter, t.Audience)
	}
	if t.Scope != "" {
		form.Set("scope", t.Scope)
	}
	return form
}

// ClientCredentials gets an access token for the client itself, with nobody logged in (RFC 6749, section 4.4). A
// refresh token that comes along, against section 4.4.3, is dropped.
func (p *Provider) ClientCredentials(ctx context.Context, t Target) (*Issued, error) {
	if p.authMethod(&metadata{}) == authNone { // whatever the provider offers
		return nil, ErrPublicClient
	}
	return p.grantFor(ctx, t.form("client_credentials", p.cfg.AudienceParameter), t)
}

// FederatedCredentials is ClientCredentials for a client that has no secret and no key, and proves that it is itself by
// an assertion which another issuer signed: workload identity federation (RFC 7523, section 2.2). The client
// authenticates by nothing else.
func (p *Provider) FederatedCredentials(ctx context.Context, assertion Secret, t Target) (*Issued, error) {
	if p.authMethod(&metadata{}) != authNone {
		return nil, ErrTwoProofs
	}
	form := t.form("client_credentials", p.cfg.AudienceParameter)
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion.Reveal())
	return p.grantFor(ctx, form, t, assertion)
}

// JWTBearer gets an access token for an assertion about somebody, which an issuer signed that the provider trusts
// (RFC 7523, section 2.1).
func (p *Provider) JWTBearer(ctx context.Context, assertion Secret, t Target) (*Issued, error) {
	form := t.form("urn:ietf:params:oauth:grant-type:jwt-bearer", p.cfg.AudienceParameter)
	form.Set("assertion", assertion.Reveal())
	return p.grantFor(ctx, form, t, assertion)
}

// grantFor makes one token request and checks the response: the token is good for the target, and is none of those that
// were sent.
func (p *Provider) grantFor(ctx context.Context, form url.Values, t Target, sent ...Secret) (*Issued, error) {
	r, err := p.grant(ctx, form)
	if err != nil {
		return nil, err
	}
	issued, claims, err := p.issued(r, t, sent...)
	if err != nil {
		return nil, err
	}
	return issued, p.checkTarget(claims, t)
}

// grant makes one token request, and a second one only if the first never reached the provider's token endpoint, which
// has moved.
func (p *Provider) grant(ctx context.Context, form url.Values) (*tokenResponse, error) {
	if p.cfg.DPoP {
		return nil, ErrUnboundGrant
	}
	m, err := p.metadata(ctx, forSession)
	if err != nil {
		return nil, err
	}
	var r tokenResponse
	_, err = p.post(ctx, m, m.TokenEndpoint, form, &r)
	if newer := p.moved(ctx, m, err); newer != nil {
		r = tokenResponse{}
		_, err = p.post(ctx, newer, newer.TokenEndpoint, form, &r)
	}
	if refused := new(RefusedError); errors.As(err, &refused) {
		refused.Reason = grantReason(refused, form)
	}
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// grantReason tells why a grant without a login was refused, where it means something else than at a login.
func grantReason(refused *RefusedError, form url.Values) Reason {
	switch {
	case refused.Code == "unsupported_grant_type", refused.Reason == ReasonGrantNotAllowed:
		return ReasonGrantOff
	case refused.Reason == ReasonProofMissing:
		return ReasonProofOfGrant
	case refused.Reason == ReasonDeclined: // Auth0, where no client grant names the API
		return ReasonClientNotAuthorized
	case form.Has("subject_token") || form.Has("assertion"):
		if refused.Reason == ReasonInvalidGrant || refused.Code == "invalid_request" || refused.Code == "invalid_token" {
			return ReasonSubjectRefused
		}
	}
	return refused.Reason
}

// issued checks a token response by which no login came. sent are the tokens that the request held: none of them may
// come back as the token.
func (p *Provider) issued(r *tokenResponse, t Target, sent ...Secret) (*Issued, Claims, error) {
	tokenType := r.TokenType
	if strings.EqualFold(tokenType, notAvailable) && r.IssuedTokenType != "" {
		tokenType, r.TokenType = notAvailable, "Bearer" // the other checks are the same
	}
	tokens, claims, err := p.tokens(r, t.Audience)
	if e := new(UntrustedError); errors.As(err, &e) && e.Reason == ReasonProofMissing {
		e.Reason = ReasonProofOfGrant
	}
	if err != nil {
		return nil, nil, err
	}
	if tokenType != notAvailable {
		tokenType = tokens.TokenType
	}
	for _, secret := range sent {
		if secret.Reveal() == tokens.AccessToken.Reveal() {
			return nil, nil, malformed("the provider sent back the very token that was sent to it")
		}
	}
	if !tokens.Expiry.IsZero() && !tokens.Expiry.After(p.now()) {
		return nil, nil, p.clockError(ErrExpired, ReasonClockProbablyAhead, "the token had expired when it came")
	}
	// A response without a scope means the one that was asked for (RFC 6749, section 5.1), unless the token says
	// otherwise.
	tokens.Scope = cmp.Or(tokens.Scope, claims.Text("scope"), t.Scope)
	return &Issued{
		Token: tokens.AccessToken, TokenType: tokenType, Kind: r.IssuedTokenType, Expiry: tokens.Expiry,
		Scope: tokens.Scope, Audience: t.Audience,
	}, claims, nil
}

// checkTarget compares what was asked for with the audience of a token that is a JWT. Of several targets one has to be
// there.
func (p *Provider) checkTarget(claims Claims, t Target) error {
	wanted := slices.DeleteFunc(append([]string{t.Audience}, t.Resources...), func(s string) bool { return s == "" })
	if len(wanted) == 0 {
		return nil
	}
	reason := ReasonAudienceIgnored
	if p.cfg.AudienceParameter == "resource" && !p.cfg.Auth0 {
		reason = ReasonResourceIgnored
	}
	var err error
	for _, one := range wanted {
		if err = checkAudience(claims, one, reason); err == nil {
			return nil
		}
	}
	return err
}
