package provider

import (
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// checkOrganization wants the organization that Auth0 was asked for: else a login through another organization of the
// same tenant would do. An ID begins with org_; a name is compared in lower case. A renewed ID token need not have the
// claim, nor need one of another provider, to which the parameter may mean something else.
func (c *candidate) checkOrganization() error {
	if c.want.organization == "" {
		return nil
	}
	claim, asked := "org_id", c.want.organization
	if !strings.HasPrefix(asked, "org_") {
		claim, asked = "org_name", strings.ToLower(asked)
	}
	got, told := c.claims[claim]
	e := &UntrustedError{Check: ErrOrganization}
	switch {
	case got == asked, !told && (c.want.renewed || !c.p.cfg.Auth0):
		return nil
	case c.want.renewed:
		e.Detail = "the renewed ID token is of another organization"
	case !told && claim == "org_name":
		e.Reason, e.Detail = ReasonOrganizationUnnamed, "the ID token does not name the organization of the login"
	case !told:
		e.Reason, e.Detail = ReasonOrganizationMissing, "the login is of no organization"
	default:
		e.Reason = ReasonOrganizationOther
		e.Detail = fmt.Sprintf("the login is of organization %q, not %q",
			words.Printable(c.claims.Text(claim)), words.Printable(asked))
	}
	return e
}

// reasonOf tells why from the code and, where providers use one code for several things, from Auth0's own words.
func (p *Provider) reasonOf(e *RefusedError) Reason {
	code, text := e.Code, strings.ToLower(e.Description)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return false
			}
		}
		return true
	}
	switch {
	case has("callback url mismatch"), has("redirect_uri"):
		return ReasonCallbackNotAllowed
	case has("service not found"):
		return ReasonUnknownAPI
	case has("organization"), has("org_id"):
		return ReasonOrganization
	case has("device_code"), has("device code"):
		return ReasonDeviceGrantOff
	case has("grant type", "not allowed"), code == "unauthorized_client":
		return ReasonGrantNotAllowed
	case code == "invalid_client" && p.cfg.OAuth:
		return ReasonUnknownClient
	case code == "invalid_client", has("unauthorized") && code == "access_denied" && e.Status != 0:
		if p.cfg.ClientSecret.IsZero() {
			return ReasonClientSecretMissing
		}
		return ReasonClientSecretWrong
	case code == "consent_required", code == "interaction_required", code == "login_required":
		return ReasonInteractionRequired
	case has("policy evaluation failed"): // Okta, beside access_denied
		return ReasonAccessPolicy
	case code == "access_denied":
		return ReasonDeclined
	case code == "invalid_scope", has("invalid_scope"), has("scope", "not supported"): // Cognito, Azure B2C
		return ReasonScope
	case code == "invalid_target":
		return ReasonTarget
	case code == "invalid_grant":
		return ReasonInvalidGrant
	}
	return ""
}
