package provider

import (
	"errors"
	"time"
)

// A Reason says why the provider refused or was not believed, where the error's code or check does not say it. This
// package never says what to do about it: that depends on the program, its flags and its words.
type Reason string

const (
	// Of a RefusedError.

	ReasonCallbackNotAllowed   Reason = "callback_not_allowed"  // the redirect URI is not registered for the client
	ReasonUnknownAPI           Reason = "unknown_api"           // Auth0 knows no API of the audience's name
	ReasonOrganization         Reason = "organization"          // the organization does not fit the user or the client
	ReasonDeviceGrantOff       Reason = "device_grant_off"      // the client may not log in by device code
	ReasonGrantNotAllowed      Reason = "grant_not_allowed"     // the client may not use the grant type
	ReasonClientSecretMissing  Reason = "client_secret_missing" // the client has to authenticate, and no secret is set
	ReasonClientSecretWrong    Reason = "client_secret_wrong"   // the provider did not accept the client secret
	ReasonClientKeyRefused     Reason = "client_key_refused"    // the provider did not accept the client's key
	ReasonMethodNotOffered     Reason = "method_not_offered"    // the provider knows no clients with keys or certificates
	ReasonCertificateRefused   Reason = "certificate_refused"   // the provider did not accept the client's certificate
	ReasonUnknownClient        Reason = "unknown_client"        // a server without OpenID Connect does not know the client
	ReasonInteractionRequired  Reason = "interaction_required"  // the login sent prompt=none, and the provider has to ask
	ReasonDeclined             Reason = "declined"              // the user said no, or may not use the client
	ReasonScope                Reason = "scope"                 // a scope is unknown or not allowed
	ReasonAccessPolicy         Reason = "access_policy"         // no access policy of Okta's allows the request
	ReasonTarget               Reason = "target"                // the audience is unknown or not allowed (RFC 8707)
	ReasonInvalidGrant         Reason = "invalid_grant"         // the code or the refresh token is used up or revoked
	ReasonAnotherFactor        Reason = "another_factor"        // the user has to authenticate by another factor (Auth0)
	ReasonRefreshRefused       Reason = "refresh_refused"       // a refresh was refused for none of the other reasons
	ReasonGrantOff             Reason = "grant_off"             // the client may not use that grant, or nobody may
	ReasonClientNotAuthorized  Reason = "client_not_authorized" // the client itself may get no token for the audience
	ReasonSubjectRefused       Reason = "subject_refused"       // the token or assertion to be exchanged was not accepted
	ReasonProofMissing         Reason = "proof_missing"         // the client's tokens are bound to a key: Config.DPoP
	ReasonMaybeProofMissing    Reason = "maybe_proof_missing"   // a login was refused, maybe for want of a proof (DPoP)
	ReasonProofOfGrant         Reason = "proof_of_grant"        // a grant without a login wants a proof of a key (DPoP)
	ReasonProofRefused         Reason = "proof_refused"         // the provider refused the proof of the key (DPoP)
	ReasonProofNonce           Reason = "proof_nonce"           // the provider asks for another nonce each time (DPoP)
	ReasonRequestRefused       Reason = "request_refused"       // the provider did not accept the signed request
	ReasonRequestUnknown       Reason = "request_unknown"       // the provider takes no signed requests
	ReasonPushRequired         Reason = "push_required"         // the client has to push its requests; the next one is
	ReasonDeviceCodeExpired    Reason = "device_code_expired"   // nobody entered the device's code in time
	ReasonDiscoveryMoved       Reason = "discovery_moved"       // discovery redirects to another issuer, Diagnosis.Issuer
	ReasonDiscoveryElsewhere   Reason = "discovery_elsewhere"   // discovery redirects to a page that is no document of it
	ReasonDiscoveryUnavailable Reason = "discovery_unavailable" // there is no discovery document under the issuer

	// Reasons of an ErrConfig.

	ReasonKeyAlgorithm     Reason = "key_algorithm"     // the provider accepts none of the client key's algorithms
	ReasonKeyKind          Reason = "key_kind"          // the client key is of a kind that signs nothing here
	ReasonRequestsUnsigned Reason = "requests_unsigned" // requests have to be signed, and the client has no key
	ReasonNoPush           Reason = "no_push"           // requests are to be pushed, and the provider takes none

	// Reasons of an UntrustedError.

	ReasonIssuerName          Reason = "issuer_name"           // discovery is of another issuer: Diagnosis.Issuer
	ReasonIssuerPlain         Reason = "issuer_plain"          // discovery names an issuer or an endpoint with http
	ReasonIssuerTemplate      Reason = "issuer_template"       // discovery names the issuer of no tenant in particular
	ReasonIssuerMissing       Reason = "issuer_missing"        // discovery names no issuer
	ReasonOtherClient         Reason = "other_client"          // the token was issued to another client
	ReasonAlgorithm           Reason = "algorithm"             // the token's algorithm is none that is accepted
	ReasonSymmetricAlgorithm  Reason = "symmetric_algorithm"   // the provider signs with no public key
	ReasonUnsigned            Reason = "unsigned"              // the token has no signature
	ReasonNoIDToken           Reason = "no_id_token"           // a login brought no ID token
	ReasonNoAccessToken       Reason = "no_access_token"       // the token response holds no access token
	ReasonUnproven            Reason = "unproven"              // no ID token is believed that came with the refresh token
	ReasonOrganizationUnnamed Reason = "organization_unnamed"  // Auth0 did not put the organization's name in the ID token
	ReasonOrganizationMissing Reason = "organization_missing"  // the login is of no organization
	ReasonOrganizationOther   Reason = "organization_other"    // the login is of another organization
	ReasonACR                 Reason = "acr"                   // the acr of the authentication is none that was demanded
	ReasonMaxAge              Reason = "max_age"               // the user was not asked again, as max_age demands
	ReasonNoPKCE              Reason = "no_pkce"               // a server without OpenID Connect does not offer S256
	ReasonBoundElsewhere      Reason = "bound_elsewhere"       // the access token is bound to another certificate
	ReasonNoDPoP              Reason = "no_dpop"               // the provider does not offer DPoP with ES256
	ReasonNotBound            Reason = "not_bound"             // DPoP was asked for, and a bearer token came
	ReasonClockBehind         Reason = "clock_behind"          // this computer's clock is behind, by Diagnosis.Skew
	ReasonClockAhead          Reason = "clock_ahead"           // this computer's clock is ahead, by Diagnosis.Skew
	ReasonClockProbablyBehind Reason = "clock_probably_behind" // the token is of the future, and the skew is not known
	ReasonClockProbablyAhead  Reason = "clock_probably_ahead"  // the token has expired, and the skew is not known

	// Reasons of an AudienceError. Diagnosis.Audience is the audience that was asked for.

	ReasonAudienceIgnored    Reason = "audience_ignored"     // the access token of a login is for another audience
	ReasonResourceIgnored    Reason = "resource_ignored"     // the same, where the parameter resource asked for it
	ReasonAudienceNotRenewed Reason = "audience_not_renewed" // the access token of a refresh is for another audience

	// Reasons of an UnreachableError.

	ReasonCertificateWanted Reason = "certificate_wanted" // the provider wants a certificate of the client that it knows

	ReasonUnknownAuthority Reason = "unknown_authority" // no known authority signed the provider's certificate
	ReasonAuthorityFile    Reason = "authority_file"    // the same, and SSL_CERT_FILE names no file of certificates
	ReasonProxyAddress     Reason = "proxy_address"     // HTTPS_PROXY does not parse
	ReasonProxySilent      Reason = "proxy_silent"      // the proxy that HTTPS_PROXY names does not answer
	ReasonTooFewFiles      Reason = "too_few_files"     // this process may not open the connection: too few files
	ReasonProxyScheme      Reason = "proxy_scheme"      // the proxy Diagnosis.Proxy wants NTLM or Negotiate, and no Basic
	ReasonProxyLogin       Reason = "proxy_login"       // the proxy Diagnosis.Proxy asks for a user name and a password
)

// A Diagnosis is what an error of this package knows about its cause, for a caller that advises a person.
type Diagnosis struct {
	Reason   Reason        `json:"reason,omitempty"`
	Audience string        `json:"audience,omitempty"` // the audience that was asked for
	Issuer   string        `json:"issuer,omitempty"`   // the issuer that discovery names
	Proxy    string        `json:"proxy,omitempty"`    // host and port
	Methods  string        `json:"methods,omitempty"`  // token_endpoint_auth_methods_supported, with spaces between
	Skew     time.Duration `json:"skew,omitempty"`     // how far the provider's clock is ahead of this computer's
}

// Diagnose returns the diagnosis of the first error in err's tree that has a method Diagnosis, as those of this
// package have. It returns the zero Diagnosis if there is none.
func Diagnose(err error) Diagnosis {
	var e interface{ Diagnosis() Diagnosis }
	if !errors.As(err, &e) {
		return Diagnosis{}
	}
	return e.Diagnosis()
}

// Diagnosis returns e's reason with what belongs to it.
func (e *RefusedError) Diagnosis() Diagnosis {
	return Diagnosis{Reason: e.Reason, Issuer: e.Issuer, Methods: e.methods}
}

// Diagnosis returns e's reason with the issuer or the skew that belongs to it.
func (e *UntrustedError) Diagnosis() Diagnosis {
	return Diagnosis{Reason: e.Reason, Issuer: e.Issuer, Skew: e.Skew}
}

// Diagnosis returns e's reason with the audience that was asked for.
func (e *AudienceError) Diagnosis() Diagnosis { return Diagnosis{Reason: e.Reason, Audience: e.Asked} }

// Diagnosis returns e's reason with the proxy that it is about.
func (e *UnreachableError) Diagnosis() Diagnosis { return Diagnosis{Reason: e.Reason, Proxy: e.Proxy} }
