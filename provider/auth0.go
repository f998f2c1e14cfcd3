package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// Next returns what the person can do about an error of this package, or "".
func Next(err error) string {
	if e, ok := errors.AsType[*RefusedError](err); ok {
		return e.Next
	}
	if e, ok := errors.AsType[*untrusted](err); ok {
		return e.next
	}
	if e, ok := errors.AsType[interface {
		error
		Next() string
	}](err); ok {
		return e.Next()
	}
	return ""
}

// Settings says where at the provider an application's settings are.
func (p *Provider) Settings() string {
	if p.cfg.Auth0 {
		return "Dashboard → Applications → your app → Settings"
	}
	return "the application's settings at the provider"
}

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
		return &untrusted{check: ErrOrganization, detail: "the renewed ID token is of another organization"}
	case !told && claim == "org_name":
		return &untrusted{ErrOrganization, "the ID token does not name the organization of the login", "give --organization its ID (org_…), or allow names (Dashboard → Settings → Advanced → Organizations)"}
	case !told:
		return &untrusted{ErrOrganization, "the login is of no organization", "check that the application may use organizations (" + p.Settings() + ")"}
	}
	return &untrusted{ErrOrganization, fmt.Sprintf("the login is of organization %q, not %q", words.Printable(claims.Text(claim)), words.Printable(asked)), "check --organization"}
}

// adviceFor names the setting to change for what people run into most.
func (p *Provider) adviceFor(e *RefusedError) string {
	code, text := e.Code, strings.ToLower(e.Description)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return false
			}
		}
		return true
	}
	app := p.Settings()
	switch {
	case has("callback url mismatch"), has("redirect_uri"):
		return "add the callback URL to Allowed Callback URLs (" + app + ")"
	case has("service not found"):
		return "the API identifier is not registered: create it under Dashboard → Applications → APIs, or change --audience"
	case has("organization"), has("org_id"):
		return "check --organization, and that the user is a member of it and the application may use it"
	case has("device_code"), has("device code"):
		return "switch on Device Code (Grant Types in " + app + ")"
	case has("grant type", "not allowed"), code == "unauthorized_client":
		return "switch on Authorization Code and Refresh Token (Grant Types in " + app + ")"
	case code == "invalid_client", has("unauthorized") && code == "access_denied" && e.Status != 0:
		if p.cfg.ClientSecret.IsZero() {
			return "set the application type to Native, or give the client secret with --client-secret-file (" + app + ")"
		}
		return "check the client secret, or set the application type to Native and give none (" + app + ")"
	case code == "consent_required", code == "interaction_required", code == "login_required":
		return "log in again without --prompt none; loopkey login --prompt consent asks for consent"
	case code == "access_denied":
		return "the login was declined, or this user may not use the application"
	case code == "invalid_scope":
		return "ask for fewer scopes with --scope"
	case code == "invalid_target":
		return "check --audience: the provider does not know it, or does not allow it to this client"
	case code == "invalid_grant":
		return "run loopkey login again"
	}
	return ""
}
