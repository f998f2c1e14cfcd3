package provider

import "testing"

// TestReasons holds the refusals that Auth0 writes, and the reason that each means.
func TestReasons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		code, text string
		want       Reason
	}{
		{0, "access_denied", "Service not found: https://api", ReasonUnknownAPI},
		{0, "access_denied", "User did not authorize the request", ReasonDeclined},
		{0, "access_denied", "user ada is not part of the org_1 organization", ReasonOrganization},
		{0, "invalid_request", "parameter organization is invalid", ReasonOrganization},
		{0, "invalid_request", "parameter organization is required for this client", ReasonOrganization},
		{
			0, "invalid_request", "authorization request parameter organization must be an organization id",
			ReasonOrganizationUnnamed,
		},
		{
			0, "unauthorized_client", "Callback URL mismatch. http://x is not in the list of allowed callback URLs",
			ReasonCallbackNotAllowed,
		},
		{403, "unauthorized_client", "Grant type 'refresh_token' not allowed for the client.", ReasonGrantNotAllowed},
		{401, "access_denied", "Unauthorized", ReasonClientSecretMissing},
		{401, "invalid_client", "", ReasonClientSecretMissing},
		{0, "login_required", "Login required", ReasonInteractionRequired},
		{0, "consent_required", "Consent required", ReasonInteractionRequired},
		{0, "invalid_scope", "", ReasonScope},
		{400, "invalid_target", "", ReasonTarget},
		{403, "invalid_grant", "Unknown or invalid refresh token.", ReasonInvalidGrant},
		{400, "unsupported_grant_type", "Unknown device_code", ReasonDeviceGrantOff},
		{500, "server_error", "", ""},
	} {
		p, err := New(Config{Issuer: "https://acme.eu.auth0.com/", ClientID: "c"})
		if err != nil {
			t.Fatal(err)
		}
		refusal := &RefusedError{Code: c.code, description: c.text, Status: c.status}
		if got := p.reasonOf(refusal); got != c.want {
			t.Errorf("%s (%s): %q, not %q", c.code, c.text, got, c.want)
		}
		if c.want != ReasonClientSecretMissing {
			continue
		}
		p, err = New(Config{Issuer: "https://acme.eu.auth0.com/", ClientID: "c", ClientSecret: NewSecret("wrong")})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.reasonOf(refusal); got != ReasonClientSecretWrong {
			t.Errorf("%s (%s) with a secret: %q", c.code, c.text, got)
		}
	}
}
