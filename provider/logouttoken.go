package provider

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/words"
)

// A LogoutToken is a verified back-channel logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
type LogoutToken struct {
	Subject, SessionID, ID string // sub, sid, jti
	IssuedAt               time.Time
}

// logoutTokenAge is how long a logout token is good for. The provider sends it when the session ends.
const logoutTokenAge = 5 * time.Minute

// logoutTokenChecks are the checks of a logout token, in the order of OpenID Connect Back-Channel Logout 1.0, section
// 2.6, whose steps stand beside them. The nonce comes first of what it says: it tells an ID token from a logout token.
func logoutTokenChecks() []check {
	return []check{
		(*candidate).checkTokenType,    // section 2.4
		(*candidate).checkSignature,    // 2
		(*candidate).checkAlgorithm,    // 2 and 3
		(*candidate).checkIssuer,       // 4
		(*candidate).checkAudience,     // 4
		(*candidate).checkExpiry,       // 4
		(*candidate).checkJustIssued,   // 4
		(*candidate).checkNoNonce,      // 7
		(*candidate).checkSubjectOrSID, // 5
		(*candidate).checkLogoutForm,   // 6; section 2.4
	}
}

// VerifyLogoutToken verifies a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6). It is the caller's
// to know whether a token of the same ID was seen before.
func (p *Provider) VerifyLogoutToken(ctx context.Context, raw string) (*LogoutToken, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	c, err := p.candidate("logout token", raw)
	if err != nil {
		return nil, err
	}
	c.hear(&keySet{p: p, m: m, algorithms: m.algorithms()}, func(v *oidc.IDTokenVerifier) error {
		_, err := v.VerifyLogout(ctx, raw)
		return err
	})
	if err := c.pass(logoutTokenChecks()); err != nil {
		return nil, err
	}
	return &LogoutToken{
		Subject: c.claims.Subject(), SessionID: c.claims.Text("sid"), ID: c.claims.Text("jti"),
		IssuedAt: c.claims.Time("iat"),
	}, nil
}

// checkTokenType wants the explicit type, or the one that providers send that know none (section 2.4). Another type
// tells that the provider made the token for another purpose.
func (c *candidate) checkTokenType() error {
	typ := joseHeader(c.raw).Typ
	if !slices.Contains([]string{"", "jwt", "logout+jwt", "application/logout+jwt"}, strings.ToLower(typ)) {
		return c.refuse(ErrTokenType, "a logout token is of type logout+jwt, not %q", words.Printable(typ))
	}
	return nil
}

// checkJustIssued wants an iat of the last minutes: an old logout token would end a later session.
func (c *candidate) checkJustIssued() error {
	if err := c.notBefore(); err != nil {
		return err
	}
	iat := c.claims.Time("iat")
	if iat.IsZero() || iat.After(c.now.Add(clockLeeway)) || c.now.Sub(iat) > logoutTokenAge {
		return c.p.clockError(ErrIssuedAt, "", "the logout token is not of now")
	}
	return nil
}

// checkNoNonce refuses a nonce, whatever its value (section 2.4): the token is an ID token.
func (c *candidate) checkNoNonce() error {
	if _, told := c.claims["nonce"]; told {
		return c.refuse(ErrNonce, "a logout token has no nonce")
	}
	return nil
}

// checkSubjectOrSID wants a sub or a sid.
func (c *candidate) checkSubjectOrSID() error {
	if c.claims.Subject() == "" && c.claims.Text("sid") == "" {
		return c.refuse(ErrSubject, "the logout token names neither a person nor a session")
	}
	return nil
}

// checkLogoutForm wants the event of a logout, whose value is an object, and an ID (section 2.4); and that go-oidc
// refuses nothing else. After this check go-oidc has verified the signature.
func (c *candidate) checkLogoutForm() error {
	events, _ := c.claims["events"].(map[string]any)
	_, isLogout := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	switch {
	case !isLogout:
		return c.refuse(ErrMalformed, "the token is about another event than a logout")
	case c.claims.Text("jti") == "":
		return c.refuse(ErrMalformed, "the logout token has no ID")
	}
	return c.checkForm()
}
