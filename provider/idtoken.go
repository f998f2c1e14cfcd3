package provider

import (
	"context"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/words"
)

// An idTokenExpectation is what an ID token has to say.
type idTokenExpectation struct {
	// renewed: the token came with a refresh, or with a device login, which sends no nonce. Then a nonce is not
	// demanded, and the claims that a token of the same login must repeat are compared where they are known.
	renewed      bool
	keys         freshness // how old the keys may be
	nonce        string
	accessToken  Secret // which came with it
	required     Requirement
	subject      string
	authTime     time.Time
	organization string // that Auth0 was asked for, by ID or by name; for a renewed token, the ID that the first one had
}

// idTokenChecks are the checks of an ID token, in the order of OpenID Connect Core 1.0, section 3.1.3.7, whose steps
// stand beside them; then what else it has to hold.
func idTokenChecks() []check {
	return []check{
		(*candidate).checkIssuer,          // 2; a renewed one's: section 12.2
		(*candidate).checkAudience,        // 3; 12.2
		(*candidate).checkAuthorizedParty, // 4 and 5; 12.2
		(*candidate).checkSignature,       // 6
		(*candidate).checkAlgorithm,       // 7 and 8
		(*candidate).checkExpiry,          // 9
		(*candidate).checkIssuedAt,        // 10; 12.2
		(*candidate).checkForm,            // section 2
		(*candidate).checkNonce,           // 11; 12.2
		(*candidate).checkACR,             // 12
		(*candidate).checkAuthTime,        // 13; 12.2
		(*candidate).checkSubject,         // section 2; 12.2
		(*candidate).checkAccessTokenHash, // section 3.1.3.6
		(*candidate).checkOrganization,    // Auth0's own
	}
}

// verifyIDToken returns the claims of an ID token that was issued to the client for the request that want describes,
// and the token's expiry. The clocks may be a minute apart.
func (p *Provider) verifyIDToken(
	ctx context.Context, m *metadata, raw string, want idTokenExpectation,
) (Claims, time.Time, error) {
	c, err := p.candidate("ID token", raw)
	if err != nil {
		return nil, time.Time{}, err
	}
	c.want = want
	m = p.advertising(ctx, m, algorithm(raw))
	c.hear(&keySet{p: p, m: m, algorithms: m.algorithms(), age: want.keys}, func(v *oidc.IDTokenVerifier) error {
		_, err := v.Verify(ctx, raw)
		return err
	})
	if err := c.pass(idTokenChecks()); err != nil {
		return nil, time.Time{}, err
	}
	return c.claims, c.claims.Time("exp"), nil
}

// checkAuthorizedParty wants the client as azp, if there is one (section 3.1.3.7, step 5). A token for several
// audiences must have one (step 4): the others might have got it for themselves.
func (c *candidate) checkAuthorizedParty() error {
	azp, told := c.claims["azp"]
	switch {
	case told && azp != c.p.cfg.ClientID:
		return c.refuse(ErrAuthorizedParty, "the ID token was issued to another client")
	case !told && len(audiences(c.claims["aud"])) > 1:
		return c.refuse(ErrAuthorizedParty, "the ID token is for several audiences and names no authorized party")
	}
	return nil
}

// checkIssuedAt wants an iat that is not in the future and, of a login's token, not of another day (step 10). A renewed
// token's may be that of the login.
func (c *candidate) checkIssuedAt() error {
	if err := c.notBefore(); err != nil {
		return err
	}
	switch iat := c.claims.Time("iat"); {
	case iat.IsZero():
		return c.refuse(ErrIssuedAt, "the ID token does not say when it was issued")
	case iat.After(c.now.Add(clockLeeway)):
		return c.futureError(iat)
	case !c.want.renewed && iat.Before(c.now.Add(-oldestLogin)):
		ago := words.Short(c.now.Sub(iat))
		return c.p.clockError(ErrIssuedAt, "", "the ID token was issued %s ago, long before this login", ago)
	}
	return nil
}

// checkNonce wants the nonce that the login sent (step 11). A renewed token need not have one; if it has, it is that of
// the login (section 12.2).
func (c *candidate) checkNonce() error {
	nonce, told := c.claims["nonce"]
	switch {
	case !c.want.renewed && c.claims.Text("nonce") != c.want.nonce:
		return c.refuse(ErrNonce, "the ID token belongs to another login")
	case c.want.renewed && told && c.want.nonce != "" && nonce != c.want.nonce:
		return c.refuse(ErrNonce, "the renewed ID token belongs to another login")
	}
	return nil
}

// checkAuthTime wants an auth_time that is not older than max_age, if that was asked for (step 13). A renewed token's
// is that of the login and not the time when the token was issued (section 12.2), if both have one. A time in between
// is accepted: in Keycloak and GitLab it is when the user last authenticated, for whatever application. Cognito makes
// it anew when it rotates refresh tokens.
func (c *candidate) checkAuthTime() error {
	switch c.want.required.Compare(c.claims, c.now).Time {
	case AuthTimeMissing, AuthTimePast:
		e := c.refuse(ErrAuthTime, "the provider did not ask for the authentication again that max_age demands")
		e.Reason = ReasonMaxAge
		return e
	case AuthTimeFuture:
		return c.refuse(ErrAuthTime, "the authentication that max_age demands is yet to come")
	}
	at := c.claims.Time("auth_time")
	if c.want.authTime.IsZero() || at.IsZero() || at.Equal(c.want.authTime) { // also where this clock was set back
		return nil
	}
	isOther := at.Before(c.want.authTime) || at.After(c.now.Add(clockLeeway))
	isIssue := at.After(c.want.authTime) && at.Sub(c.claims.Time("iat")).Abs() <= time.Second && !c.p.isCognito()
	if isOther || isIssue {
		return c.refuse(ErrAuthTime, "the renewed ID token is of another authentication")
	}
	return nil
}

// checkSubject wants a sub of at most 255 characters (section 2), which is that of the login in a renewed token
// (section 12.2).
func (c *candidate) checkSubject() error {
	switch sub := c.claims.Subject(); {
	case sub == "" || len(sub) > 255:
		return c.refuse(ErrSubject, "the ID token has no usable sub")
	case c.want.subject != "" && sub != c.want.subject:
		return c.refuse(ErrSubject, "the renewed ID token is about another person")
	}
	return nil
}

// checkAccessTokenHash wants at_hash, if there is one, to be that of the access token (section 3.1.3.6).
func (c *candidate) checkAccessTokenHash() error {
	hash, told := c.claims["at_hash"]
	if told && !c.want.accessToken.IsZero() && hash != accessTokenHash(c.raw, c.want.accessToken) {
		return c.refuse(ErrAccessTokenHash, "the ID token belongs to another access token")
	}
	return nil
}
