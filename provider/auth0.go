package provider

import (
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// checkOrganization compares the organization that was asked for with the one that the
// login is of: without that anybody could be sent in through another organization of the
// tenant. An ID begins with org_; a name knows no case. Another provider may give the parameter
// a meaning of its own, so what is demanded of Auth0 is only believed of it where it is told.
// A renewed ID token may be silent, as it may be of nonce and auth_time.
func (p *Provider) checkOrganization(claims Claims, want idTokenExpectation) error {
	if want.organization == "" {
		return nil
	}
	claim, asked := "org_id", want.organization
	if !strings.HasPrefix(asked, "org_") {
		claim, asked = "org_name", strings.ToLower(asked)
	}
	got, told := claims[claim]
	switch {
	case got == asked, !told && (want.renewed || !p.cfg.Auth0):
		return nil
	case want.renewed:
		return &UntrustedError{Check: ErrOrganization, Detail: "the renewed ID token is of another organization"}
	case !told && claim == "org_name":
		return &UntrustedError{Check: ErrOrganization, Detail: "the ID token does not name the organization of the login", Reason: ReasonOrganizationUnnamed}
	case !told:
		return &UntrustedError{Check: ErrOrganization, Detail: "the login is of no organization", Reason: ReasonOrganizationMissing}
	}
	return &UntrustedError{Check: ErrOrganization, Reason: ReasonOrganizationOther,
		Detail: fmt.Sprintf("the login is of organization %q, not %q", words.Printable(claims.Text(claim)), words.Printable(asked))}
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
	case code == "invalid_client", has("unauthorized") && code == "access_denied" && e.Status != 0:
		if p.cfg.ClientSecret.IsZero() {
			return ReasonClientSecretMissing
		}
		return ReasonClientSecretWrong
	case code == "consent_required", code == "interaction_required", code == "login_required":
		return ReasonInteractionRequired
	case code == "access_denied":
		return ReasonDeclined
	case code == "invalid_scope":
		return ReasonScope
	case code == "invalid_target":
		return ReasonTarget
	case code == "invalid_grant":
		return ReasonInvalidGrant
	}
	return ""
}
