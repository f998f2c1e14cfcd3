package provider

import (
	"fmt"
	"strings"
)

// isError reports whether a response is an error by its body. Some providers refuse with a 200; GitHub does.
func isError(body []byte) bool {
	var said struct {
		Error any `json:"error"`
	}
	if document(body, &said) != nil {
		return false
	}
	switch e := said.Error.(type) {
	case string:
		return e != ""
	case map[string]any:
		return len(e) > 0
	}
	return false
}

// refused returns the error that a response is, whatever its form (RFC 6749, section 5.2).
func (p *Provider) refused(resp *response) error {
	e := &RefusedError{Status: resp.status}
	e.Code, e.description = p.errorIn(resp.body)
	if e.Code == "" && e.description == "" {
		e.description = fmt.Sprintf("it replied with HTTP %d", resp.status)
		if resp.status < 400 {
			e.description += ", a redirect, which is not followed"
		}
	}
	e.Reason = p.reasonOf(e)
	return e
}

// errorIn returns the printable texts of an error response; "" where there is none that can be read.
func (p *Provider) errorIn(raw []byte) (code, description string) {
	var body map[string]any
	if object(raw, &body) == nil {
		code, _ = body["error"].(string)
		description, _ = body["error_description"].(string)
		if nested, ok := body["error"].(map[string]any); ok {
			code, _ = nested["code"].(string)
			description, _ = nested["message"].(string)
		}
	}
	return p.printable(code), p.printable(description)
}

// reasonOf tells why from the code and, where providers use one code for several things, from Auth0's own words.
func (p *Provider) reasonOf(e *RefusedError) Reason {
	code, text := e.Code, strings.ToLower(e.description)
	has := func(parts ...string) bool {
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return false
			}
		}
		return true
	}
	switch {
	case code == "invalid_dpop_proof", code == "use_dpop_nonce",
		(code == "invalid_request" || code == "invalid_grant") && has("dpop"): // Keycloak, oidc-provider
		return p.proofReason(code)
	case code == "invalid_grant" && has("client certificate") && p.cfg.ClientCertificate == nil: // oidc-provider
		return ReasonCertificateWanted
	case has("callback url mismatch"), has("redirect_uri"):
		return ReasonCallbackNotAllowed
	case has("service not found"):
		return ReasonUnknownAPI
	case has("must be an organization id"):
		return ReasonOrganizationUnnamed
	case has("organization"), has("org_id"):
		return ReasonOrganization
	case has("device_code"), has("device code"):
		return ReasonDeviceGrantOff
	case has("grant type", "not allowed"), code == "unauthorized_client":
		return ReasonGrantNotAllowed
	case code == "invalid_client" && p.cfg.OAuth:
		return ReasonUnknownClient
	case code == "invalid_client", has("unauthorized") && code == "access_denied" && e.Status != 0:
		switch {
		case p.cfg.Public:
			return ReasonClientSecretMissing
		case p.cfg.ClientSecret.IsZero() && p.cfg.ClientKey != nil:
			return ReasonClientKeyRefused
		case p.cfg.ClientSecret.IsZero() && p.cfg.ClientCertificate != nil:
			return ReasonCertificateRefused
		case p.cfg.ClientSecret.IsZero():
			return ReasonClientSecretMissing
		}
		return ReasonClientSecretWrong
	case code == "invalid_request_object":
		return ReasonRequestRefused
	case code == "request_not_supported":
		return ReasonRequestUnknown
	case code == "mfa_required":
		return ReasonAnotherFactor
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
