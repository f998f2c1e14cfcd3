package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// IdentityAssertion gets an assertion about the user of an ID token for another authorization server, which trusts this
// provider (draft-ietf-oauth-identity-assertion-authz-grant, section 4.3). at is that server's issuer. The assertion is
// good for its JWTBearer alone: nothing but the token endpoint of at may get it.
func (p *Provider) IdentityAssertion(ctx context.Context, idToken Secret, at string, t Target) (Secret, error) {
	t.Audience = at
	form := t.form(exchangeGrant, "audience")
	form.Set("subject_token", idToken.Reveal())
	form.Set("subject_token_type", TypeIDToken)
	form.Set("requested_token_type", typeIDJAG)
	r, err := p.grant(ctx, form)
	if err != nil {
		return Secret{}, err
	}
	if err := checkIssuedType(r.IssuedTokenType, typeIDJAG); err != nil {
		return Secret{}, err
	}
	issued, claims, err := p.issued(r, t, idToken)
	if err != nil {
		return Secret{}, err
	}
	aud := claims.Audiences()
	switch typ := joseHeader(issued.Token.Reveal()).Typ; {
	case claims == nil || !strings.EqualFold(strings.TrimPrefix(typ, "application/"), "oauth-id-jag+jwt"):
		return Secret{}, malformed("the provider sent no identity assertion, but a token of the type %q",
			words.Printable(typ))
	case !p.isIssuer(claims.Text("iss")):
		return Secret{}, &UntrustedError{Check: ErrIssuer, detail: fmt.Sprintf(
			"the identity assertion is from %q, not %q", words.Printable(claims.Text("iss")), p.cfg.Issuer)}
	case !slices.Equal(aud, []string{at}):
		return Secret{}, &UntrustedError{Check: ErrAudience, detail: fmt.Sprintf(
			"the identity assertion is for %q, not for %q", words.Printable(strings.Join(aud, ", ")), at)}
	}
	return issued.Token, nil
}
