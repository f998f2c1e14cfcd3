package provider

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// The types of tokens (RFC 8693, section 3; draft-ietf-oauth-identity-assertion-authz-grant, section 4).
const (
	TypeAccessToken  = tokenTypePrefix + "access_token"
	TypeIDToken      = tokenTypePrefix + "id_token"
	TypeRefreshToken = tokenTypePrefix + "refresh_token"
	TypeJWT          = tokenTypePrefix + "jwt"
	typeIDJAG        = tokenTypePrefix + "id-jag"

	tokenTypePrefix = "urn:ietf:params:oauth:token-type:" //nolint:gosec // no credential
)

// TokenTypeOf returns the URI of a token type that is given by its last word, such as id_token, or by its URI; "" where
// it is neither.
func TokenTypeOf(name string) string {
	switch name {
	case "access_token", "id_token", "refresh_token", "jwt", "saml1", "saml2", "id-jag":
		return tokenTypePrefix + name
	}
	scheme, rest, ok := strings.Cut(name, ":")
	if !ok || scheme == "" || rest == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return name
}

// A TokenExchange trades a token for another (RFC 8693, section 2.1).
type TokenExchange struct {
	Subject       Secret
	SubjectType   string // a URI; Auth0's custom token exchange has URIs of the user's own
	Actor         Secret // who acts for the subject; zero: nobody does
	ActorType     string
	RequestedType string // "": the provider decides
	Target
}

const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

// ExchangeToken makes the exchange. What comes back is of the type that was requested, is neither the subject nor the
// actor token, and names the provider as its issuer and a target that was asked for where it is a JWT that names any. A
// refresh token that comes along is dropped.
func (p *Provider) ExchangeToken(ctx context.Context, x TokenExchange) (*Issued, error) {
	form := x.form(exchangeGrant, p.exchangeAudience)
	form.Set("subject_token", x.Subject.Reveal())
	form.Set("subject_token_type", x.SubjectType)
	if !x.Actor.IsZero() {
		form.Set("actor_token", x.Actor.Reveal())
		form.Set("actor_token_type", x.ActorType)
	}
	if x.RequestedType != "" {
		form.Set("requested_token_type", x.RequestedType)
	}
	r, err := p.grant(ctx, form)
	if err != nil {
		return nil, err
	}
	if err := checkIssuedType(r.IssuedTokenType, x.RequestedType); err != nil {
		return nil, err
	}
	issued, claims, err := p.issued(r, x.Target, x.Subject, x.Actor)
	if err != nil {
		return nil, err
	}
	issued.Kind = cmp.Or(issued.Kind, TypeAccessToken)
	if iss, told := claims["iss"]; told {
		if iss, _ := iss.(string); !p.isIssuer(iss) {
			detail := fmt.Sprintf("the exchanged token is from %q, not %q", words.Printable(iss), p.cfg.Issuer)
			return nil, &UntrustedError{Check: ErrIssuer, detail: detail}
		}
	}
	return issued, p.checkTarget(claims, x.Target)
}

// checkIssuedType compares issued_token_type with what was requested. It is required (RFC 8693, section 2.2.1); where
// it is missing, the token is taken for an access token, as in every other token response. A refresh token is never
// taken: it would outlive the session that it came of.
func checkIssuedType(issued, requested string) error {
	got := cmp.Or(issued, TypeAccessToken)
	if got == cmp.Or(requested, got) && got != TypeRefreshToken {
		return nil
	}
	detail := fmt.Sprintf("the exchange brought a token of type %q", words.Printable(got))
	if requested != "" {
		detail += fmt.Sprintf(", not %q", requested)
	}
	return &UntrustedError{Check: ErrTokenType, detail: detail}
}
