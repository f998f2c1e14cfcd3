package hostile

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A likeness is a row of docs/providers.md: a provider that exists, and what the lying provider has to do as that one
// does it, by its documentation, its source or the metadata that it publishes.
type likeness struct {
	name     string
	settings []string // the flags of the row, to the letter
	issuer   string
	at       string            // of the metadata; "": under the issuer
	urls     map[string]string // of the endpoints; a path alone is on the issuer's host

	scopes   []string // scopes_supported; nil: not in the metadata
	metadata func(document map[string]any)
	// authorize returns the error response to an authorization request, or nil.
	authorize func(q url.Values) url.Values
	callback  func(q url.Values)
	claims    func(claims map[string]any, renewed bool)
	response  func(response map[string]any, renewed bool)
	secret    string // of the client
	// access changes the claims of an access token that is a JWT. nil: it is opaque.
	access  func(claims map[string]any)
	refresh refreshing

	sent    map[string]string // parameters of the authorization request; "": it must not have it
	said    []string          // by the login
	leaving leaving
	refuses []refusal // before the settings of the row are given
}

// A refusal is a login that the provider does not allow, and the setting to change, which the error says.
type refusal struct {
	settings string
	words    []string        // of the last line
	lie      func(*Lies)     // what the provider does without the setting
	more     func(*Provider) // likewise
}

// refreshing says what a provider does with refresh tokens.
type refreshing int

const (
	rotating refreshing = iota // a new one each time; the old one is used up
	lasting                    // the first one is good for long, and none comes with a renewal
)

// A leaving says how a provider logs out.
type leaving struct {
	parameter string   // that holds the URL to return to; "": post_logout_redirect_uri
	needs     []string // further parameters without which it shows an error page
	alone     bool     // it needs none of these, and does not come back, where nothing says what to return to
	silent    bool     // it does not send state back
	says      []string // what the logout says
}

func host(issuer string) string {
	u, _ := url.Parse(issuer)
	return "https://" + u.Host
}

// common is the endpoint of metadata that name no tenant.
const common = "common"

// likenesses returns the rows. Each says where what it imitates is written.
func likenesses() []likeness {
	hint := []string{"id_token_hint"}
	ended := []string{"refresh token revoked", "the provider's session ended"}
	unrevoked := []string{"the provider has no revocation", "the provider's session ended"}
	return []likeness{
		{ // auth0.com/docs: Refresh Token Rotation; Log Users Out of Auth0
			name: "Auth0", settings: []string{"--domain acme.eu.auth0.com", "--audience https://api.acme.com"},
			issuer: "https://acme.eu.auth0.com/",
			urls: map[string]string{
				Authorize: "/authorize", Token: "/oauth/token", Keys: "/.well-known/jwks.json", UserInfo: "/userinfo",
				Revoke: "/oauth/revoke", Device: "/oauth/device/code", EndSession: "/v2/logout",
			},
			scopes:   []string{"openid", "profile", "offline_access", "name", "email"},
			metadata: without("end_session_endpoint"), // hidden by tenants made before November 2023
			access:   set("aud", []string{"https://api.acme.com", "https://acme.eu.auth0.com/userinfo"}),
			sent:     map[string]string{"audience": "https://api.acme.com", "resource": ""},
			leaving: leaving{
				parameter: "returnTo", needs: []string{"client_id"}, silent: true,
				says: []string{"refresh token revoked", "the provider's session ended"},
			},
		},
		{ // learn.microsoft.com/entra/identity-platform: v2-protocols-oidc, userinfo; the metadata of common
			name: "Entra ID v2",
			settings: []string{
				"--issuer https://login.microsoftonline.com/TENANT-ID/v2.0", "--param domain_hint=acme.com",
			},
			issuer: "https://login.microsoftonline.com/TENANT-ID/v2.0",
			urls: map[string]string{
				Authorize: "/TENANT-ID/oauth2/v2.0/authorize", Token: "/TENANT-ID/oauth2/v2.0/token",
				Keys: "/TENANT-ID/discovery/v2.0/keys", UserInfo: "https://graph.microsoft.com/oidc/userinfo",
				Device: "/TENANT-ID/oauth2/v2.0/devicecode", EndSession: "/TENANT-ID/oauth2/v2.0/logout",
				common: "/common/v2.0/.well-known/openid-configuration",
			},
			scopes: []string{"openid", "profile", "email", "offline_access"},
			claims: func(c map[string]any, renewed bool) {
				for _, name := range []string{"email", "auth_time", "at_hash", "sid"} {
					delete(c, name)
				}
				c["tid"], c["ver"], c["preferred_username"] = "TENANT-ID", "2.0", house.Email
				if renewed {
					delete(c, "nonce")
				}
			},
			response: func(r map[string]any, _ bool) {
				r["scope"], r["ext_expires_in"] = "email openid profile User.Read", 3599
			},
			sent: map[string]string{"domain_hint": "acme.com", "resource": ""},
			leaving: leaving{
				says: unrevoked,
			},
			refuses: []refusal{
				{
					settings: "--issuer https://login.microsoftonline.com/common/v2.0",
					words:    []string{"{tenantid}", "https://login.microsoftonline.com/TENANT-ID/v2.0"},
					more: func(p *Provider) {
						p.Respond(common, 200, asJSON, `{"issuer":"https://login.microsoftonline.com/{tenantid}/v2.0"}`)
					},
				},
				{
					words: []string{"AADSTS7000218", "public client", "--client-secret-file"},
					more: func(p *Provider) {
						p.Respond(Token, 401, asJSON, `{"error":"invalid_client","error_description":"AADSTS7000218: The request `+
							`body must contain the following parameter: 'client_assertion' or 'client_secret'."}`)
					},
				},
			},
		},
		{ // learn.microsoft.com, azuread-dev: v1-protocols-oauth-code; the metadata of sts.windows.net
			name: "Entra ID v1",
			settings: []string{
				"--issuer https://sts.windows.net/TENANT-ID/", "--audience https://api.acme.com",
			},
			issuer: "https://sts.windows.net/TENANT-ID/",
			urls: map[string]string{
				Authorize:  "https://login.microsoftonline.com/TENANT-ID/oauth2/authorize",
				Token:      "https://login.microsoftonline.com/TENANT-ID/oauth2/token",
				Keys:       "https://login.microsoftonline.com/common/discovery/keys",
				UserInfo:   "https://login.microsoftonline.com/TENANT-ID/openid/userinfo",
				EndSession: "https://login.microsoftonline.com/TENANT-ID/oauth2/logout",
			},
			scopes: []string{"openid"},
			claims: func(c map[string]any, _ bool) {
				for _, name := range []string{"email", "auth_time", "at_hash", "sid"} {
					delete(c, name)
				}
				c["ver"], c["unique_name"] = "1.0", house.Email
			},
			response: func(r map[string]any, _ bool) {
				r["expires_in"], r["ext_expires_in"], r["scope"] = "3599", "3599", "user_impersonation"
				r["expires_on"], r["not_before"], r["resource"] = "1388444763", "1388440863", "https://api.acme.com"
			},
			access: set("aud", "https://api.acme.com"),
			sent: map[string]string{
				"resource": "https://api.acme.com", "audience": "", "scope": "openid profile email",
			},
			said: []string{"offline_access is left out"},
			leaving: leaving{
				says: unrevoked,
			},
			refuses: []refusal{{ // as that page says of ID tokens that come with a code
				words: []string{"algorithm", "--issuer https://login.microsoftonline.com/TENANT-ID/v2.0"},
				lie:   func(l *Lies) { l.Header, l.Sign = set("alg", "none"), forge.Unsigned },
			}},
		},
		{ // learn.microsoft.com/azure/active-directory-b2c: openid-connect, tokens-overview
			name: "Azure AD B2C",
			settings: []string{
				"--issuer https://acme.b2clogin.com/TENANT-ID/v2.0/",
				"--discovery-url https://acme.b2clogin.com/acme.onmicrosoft.com/POLICY/v2.0/.well-known/openid-configuration",
				`--scope "openid offline_access CLIENT-ID"`,
			},
			issuer: "https://acme.b2clogin.com/TENANT-ID/v2.0/",
			at:     "https://acme.b2clogin.com/acme.onmicrosoft.com/POLICY/v2.0/.well-known/openid-configuration",
			urls: map[string]string{
				Authorize:  "/acme.onmicrosoft.com/POLICY/oauth2/v2.0/authorize",
				Token:      "/acme.onmicrosoft.com/POLICY/oauth2/v2.0/token",
				Keys:       "/acme.onmicrosoft.com/POLICY/discovery/v2.0/keys",
				EndSession: "/acme.onmicrosoft.com/POLICY/oauth2/v2.0/logout",
			},
			scopes: []string{"openid"},
			claims: func(c map[string]any, _ bool) {
				delete(c, "at_hash")
				delete(c, "sid")
				c["acr"], c["emails"] = "POLICY", []string{house.Email}
			},
			response: func(r map[string]any, _ bool) {
				if !strings.Contains(r["scope"].(string), house.Client) {
					for _, name := range []string{"access_token", "expires_in", "scope"} {
						delete(r, name)
					}
					return
				}
				r["expires_in"], r["not_before"], r["scope"] = "3600", "1442340812", house.Client+" offline_access"
				r["refresh_token_expires_in"] = 1209600
			},
			access: set("aud", house.Client),
			said:   []string{"renewed when needed, until"},
			leaving: leaving{
				says: unrevoked,
			},
			refuses: []refusal{
				{settings: "--issuer https://acme.b2clogin.com/TENANT-ID/v2.0/", words: []string{"--discovery-url"}},
				{
					settings: "--issuer https://acme.b2clogin.com/TENANT-ID/v2.0/ --discovery-url " +
						"https://acme.b2clogin.com/acme.onmicrosoft.com/POLICY/v2.0/.well-known/openid-configuration",
					words: []string{"no access token", "--scope 'openid offline_access " + house.Client + "'"},
				},
			},
		},
		{ // developers.google.com/identity: OpenID Connect, OAuth 2.0 for web server applications; its metadata
			name: "Google",
			settings: []string{
				"--issuer https://accounts.google.com", "--param hd=acme.com",
				"--param access_type=offline --prompt consent",
			},
			issuer: "https://accounts.google.com",
			urls: map[string]string{
				Authorize: "/o/oauth2/v2/auth", Token: "https://oauth2.googleapis.com/token",
				Keys: "https://www.googleapis.com/oauth2/v3/certs", Revoke: "https://oauth2.googleapis.com/revoke",
				UserInfo: "https://openidconnect.googleapis.com/v1/userinfo", Device: "https://oauth2.googleapis.com/device/code",
			},
			scopes: []string{"openid", "email", "profile"},
			secret: "GOCSPX-hunter2",
			authorize: func(q url.Values) url.Values {
				if strings.Contains(q.Get("scope"), "offline_access") {
					return url.Values{"error": {"invalid_scope"}}
				}
				return nil
			},
			claims: func(c map[string]any, _ bool) {
				c["iss"], c["azp"], c["hd"] = "accounts.google.com", house.Client, "acme.com" // one of two, it says
				delete(c, "auth_time")
				delete(c, "sid")
			},
			response: func(r map[string]any, renewed bool) {
				const at = "https://www.googleapis.com/auth/userinfo."
				r["scope"] = at + "profile openid " + at + "email"
				if renewed {
					delete(r, "id_token")
				}
			},
			refresh: lasting,
			sent: map[string]string{
				"access_type": "offline", "prompt": "consent", "hd": "acme.com", "scope": "openid profile email",
			},
			said: []string{"offline_access is left out"},
			leaving: leaving{
				says: []string{"refresh token revoked", "it has no logout page"},
			},
		},
		{ // developer.okta.com: OpenID Connect & OAuth 2.0; Refresh access tokens
			name: "Okta, org server", settings: []string{"--issuer https://acme.okta.com"},
			issuer: "https://acme.okta.com",
			urls: map[string]string{
				Authorize: "/oauth2/v1/authorize", Token: "/oauth2/v1/token", Keys: "/oauth2/v1/keys",
				UserInfo: "/oauth2/v1/userinfo", Revoke: "/oauth2/v1/revoke", EndSession: "/oauth2/v1/logout",
				Device: "/oauth2/v1/device/authorize",
			},
			scopes: []string{"openid", "email", "profile", "address", "phone", "offline_access", "groups"},
			claims: func(c map[string]any, renewed bool) {
				delete(c, "name") // a "thin" ID token
				delete(c, "email")
				c["idp"], c["amr"] = "00o1", []string{"pwd"}
				if renewed {
					delete(c, "nonce")
				}
			},
			sent: map[string]string{"resource": "", "audience": ""},
			leaving: leaving{
				needs: hint, says: ended,
			},
		},
		{ // developer.okta.com: Authorization servers; Refresh access tokens
			name: "Okta, custom server", settings: []string{"--issuer https://acme.okta.com/oauth2/default"},
			issuer: "https://acme.okta.com/oauth2/default",
			urls: map[string]string{
				Authorize: "/oauth2/default/v1/authorize", Token: "/oauth2/default/v1/token",
				Keys: "/oauth2/default/v1/keys", UserInfo: "/oauth2/default/v1/userinfo",
				Revoke: "/oauth2/default/v1/revoke", EndSession: "/oauth2/default/v1/logout",
			},
			scopes: []string{"openid", "profile", "email", "address", "phone", "offline_access", "device_sso"},
			access: func(c map[string]any) { c["aud"], c["cid"] = "api://default", house.Client },
			leaving: leaving{
				needs: hint, says: ended,
			},
			refuses: []refusal{{
				words: []string{"Policy evaluation failed", "access policy"},
				lie: func(l *Lies) {
					l.Callback = func(q url.Values) {
						q.Del("code")
						q.Set("error", "access_denied")
						q.Set("error_description", "Policy evaluation failed for this request, please check the policy configurations.")
					}
				},
			}},
		},
		{ // keycloak.org: Securing applications with OpenID Connect; its PR 4453 (auth_time)
			name: "Keycloak",
			settings: []string{
				"--issuer https://keycloak.acme.com/realms/REALM", "--param kc_idp_hint=ALIAS",
			},
			issuer: "https://keycloak.acme.com/realms/REALM",
			urls: map[string]string{
				Authorize: "/realms/REALM/protocol/openid-connect/auth", Token: "/realms/REALM/protocol/openid-connect/token",
				Keys: "/realms/REALM/protocol/openid-connect/certs", UserInfo: "/realms/REALM/protocol/openid-connect/userinfo",
				Revoke: "/realms/REALM/protocol/openid-connect/revoke", Device: "/realms/REALM/protocol/openid-connect/auth/device",
				Push:       "/realms/REALM/protocol/openid-connect/ext/par/request",
				EndSession: "/realms/REALM/protocol/openid-connect/logout",
			},
			scopes:   []string{"openid", "acr", "basic", "email", "profile", "roles", "offline_access"},
			metadata: set("authorization_response_iss_parameter_supported", true),
			callback: func(q url.Values) {
				q.Set("iss", "https://keycloak.acme.com/realms/REALM")
				q.Set("session_state", "4d2f")
			},
			claims: func(c map[string]any, renewed bool) {
				c["typ"], c["azp"], c["acr"] = "ID", house.Client, "1"
				delete(c, "at_hash")
				if renewed { // the user typed the password again meanwhile, for another application of the realm
					c["auth_time"] = time.Now().Unix() + 5
				}
			},
			response: func(r map[string]any, _ bool) {
				r["refresh_expires_in"], r["not-before-policy"], r["session_state"] = 0, 0, "4d2f"
			},
			access: func(c map[string]any) { c["aud"], c["typ"] = "account", "Bearer" },
			sent:   map[string]string{"kc_idp_hint": "ALIAS"},
			leaving: leaving{
				says: ended,
			},
			refuses: []refusal{{
				words: []string{"KC_HOSTNAME=https://HOST", "KC_PROXY_HEADERS=xforwarded"},
				lie:   func(l *Lies) { l.Discovery = set("issuer", "http://keycloak.acme.com/realms/REALM") },
			}},
		},
		{ // docs.aws.amazon.com/cognito: the authorize, token, revoke and logout endpoints; its metadata
			name: "Amazon Cognito",
			settings: []string{
				"--issuer https://cognito-idp.eu-west-1.amazonaws.com/POOL-ID", `--scope "openid email"`,
			},
			issuer: "https://cognito-idp.eu-west-1.amazonaws.com/POOL-ID",
			urls: map[string]string{
				Authorize: "https://login.acme.com/oauth2/authorize", Token: "https://login.acme.com/oauth2/token",
				Keys: "/POOL-ID/.well-known/jwks.json", UserInfo: "https://login.acme.com/oauth2/userInfo",
				Revoke: "https://login.acme.com/oauth2/revoke", EndSession: "https://login.acme.com/logout",
			},
			scopes: []string{"openid", "email", "phone", "profile"},
			authorize: func(q url.Values) url.Values {
				if scope := q.Get("scope"); scope != "openid email" { // what a new app client allows, and phone
					return url.Values{"error": {"invalid_request"}, "error_description": {"invalid_scope"}}
				}
				return nil
			},
			claims: func(c map[string]any, _ bool) {
				c["token_use"], c["cognito:username"] = "id", "ada"
				delete(c, "at_hash")
				delete(c, "sid")
			},
			response: func(r map[string]any, _ bool) { delete(r, "scope") },
			access: func(c map[string]any) {
				delete(c, "aud")
				c["client_id"], c["token_use"] = house.Client, "access"
			},
			refresh: lasting,
			leaving: leaving{
				parameter: "logout_uri", needs: []string{"client_id"}, silent: true,
				says: []string{"refresh token revoked", "the provider's session ended"},
			},
			refuses: []refusal{{words: []string{"invalid_scope", "--scope"}}},
		},
		{ // docs.gitlab.com: GitLab as OpenID Connect identity provider; doorkeeper_openid_connect.rb; its metadata
			name: "GitLab", settings: []string{"--issuer https://gitlab.com"},
			issuer: "https://gitlab.com",
			urls: map[string]string{
				Authorize: "/oauth/authorize", Token: "/oauth/token", Keys: "/oauth/discovery/keys",
				UserInfo: "/oauth/userinfo", Revoke: "/oauth/revoke",
			},
			scopes: []string{"api", "read_api", "read_user", "sudo", "openid", "profile", "email"},
			authorize: func(q url.Values) url.Values {
				if strings.Contains(q.Get("scope"), "offline_access") {
					return url.Values{"error": {"invalid_scope"}}
				}
				return nil
			},
			claims: func(c map[string]any, renewed bool) {
				delete(c, "name")
				delete(c, "at_hash")
				delete(c, "sid")
				c["sub_legacy"], c["groups_direct"] = "5e88", []string{}
				if renewed { // auth_time is when the user last signed in, in whatever browser
					delete(c, "nonce")
					c["auth_time"] = time.Now().Unix() + 5
				}
			},
			response: func(r map[string]any, _ bool) { r["expires_in"], r["created_at"] = 7200, 1607635748 },
			sent:     map[string]string{"scope": "openid profile email"},
			said:     []string{"offline_access is left out", "renewed when needed"},
			leaving: leaving{
				says: []string{"refresh token revoked", "it has no logout page"},
			},
		},
		{ // developer.pingidentity.com/pingone-api: Authorization, Signoff
			name: "PingOne",
			settings: []string{
				"--issuer https://auth.pingone.eu/ENVIRONMENT-ID/as", `--scope "openid profile email offline_access"`,
			},
			issuer: "https://auth.pingone.eu/ENVIRONMENT-ID/as",
			urls: map[string]string{
				Authorize: "/ENVIRONMENT-ID/as/authorize", Token: "/ENVIRONMENT-ID/as/token", Keys: "/ENVIRONMENT-ID/as/jwks",
				UserInfo: "/ENVIRONMENT-ID/as/userinfo", Revoke: "/ENVIRONMENT-ID/as/revoke",
				EndSession: "/ENVIRONMENT-ID/as/signoff", Device: "/ENVIRONMENT-ID/as/device_authorization",
			},
			scopes:   []string{"openid", "profile", "email", "address", "phone"},
			metadata: set("ping_end_session_endpoint", "https://auth.pingone.eu/ENVIRONMENT-ID/as/idpSignoff"),
			response: func(r map[string]any, _ bool) {
				if !strings.Contains(r["scope"].(string), "offline_access") {
					delete(r, "refresh_token")
				}
			},
			access: set("aud", []string{"https://api.pingone.eu"}),
			claims: func(c map[string]any, _ bool) { c["p1.region"], c["amr"] = "EU", []string{"pwd"} },
			sent:   map[string]string{"scope": "openid profile email offline_access"},
			leaving: leaving{
				needs: hint, says: ended,
			},
		},
		{ // docs.pingidentity.com/pingfederate: OpenID Provider configuration, RP-initiated logout
			name: "PingFederate", settings: []string{"--issuer https://sso.acme.com"},
			issuer: "https://sso.acme.com",
			urls: map[string]string{
				Authorize: "/as/authorization.oauth2", Token: "/as/token.oauth2", Keys: "/pf/JWKS",
				UserInfo: "/idp/userinfo.openid", Revoke: "/as/revoke_token.oauth2",
				Device: "/as/device_authz.oauth2", EndSession: "/idp/init_logout.openid",
			},
			scopes: []string{"openid", "profile", "email", "address", "phone", "offline_access"},
			metadata: func(d map[string]any) {
				d["ping_end_session_endpoint"] = "https://sso.acme.com/idp/startSLO.ping"
				d["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "RS256", "ES256", "PS256"}
			},
			claims:   func(c map[string]any, _ bool) { c["pi.sri"] = "x1"; delete(c, "name"); delete(c, "sid") },
			response: func(r map[string]any, _ bool) { delete(r, "scope") }, // as asked
			refresh:  lasting,
			leaving: leaving{
				says: ended,
			},
		},
		{ // developers.onelogin.com/openid-connect: Provider Configuration, Logout
			name: "OneLogin", settings: []string{"--issuer https://acme.onelogin.com/oidc/2"},
			issuer: "https://acme.onelogin.com/oidc/2",
			urls: map[string]string{
				Authorize: "/oidc/2/auth", Token: "/oidc/2/token", Keys: "/oidc/2/certs", UserInfo: "/oidc/2/me",
				Revoke: "/oidc/2/token/revocation", EndSession: "/oidc/2/logout",
			},
			scopes: []string{"openid", "name", "profile", "groups", "email", "params", "phone"},
			claims: func(c map[string]any, _ bool) { delete(c, "name"); delete(c, "email"); delete(c, "auth_time") },
			sent:   map[string]string{"scope": "openid profile email"},
			said:   []string{"offline_access is left out", "renewed when needed"},
			leaving: leaving{
				needs: hint, alone: true, says: ended,
			},
		},
		{ // zitadel.com/docs: OIDC endpoints, scopes, claims; the metadata of zitadel.cloud
			name: "Zitadel",
			settings: []string{
				"--issuer https://acme.zitadel.cloud",
				`--scope "openid profile email offline_access urn:zitadel:iam:org:project:id:PROJECT-ID:aud"`,
			},
			issuer: "https://acme.zitadel.cloud",
			urls: map[string]string{
				Authorize: "/oauth/v2/authorize", Token: "/oauth/v2/token", Keys: "/oauth/v2/keys",
				UserInfo: "/oidc/v1/userinfo", Revoke: "/oauth/v2/revoke", EndSession: "/oidc/v1/end_session",
				Device: "/oauth/v2/device_authorization",
			},
			scopes: []string{"openid", "profile", "email", "phone", "address", "offline_access"},
			metadata: set("id_token_signing_alg_values_supported",
				[]string{"EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}),
			claims: func(c map[string]any, _ bool) {
				c["aud"], c["azp"] = []string{house.Client, "PROJECT-ID"}, house.Client
				delete(c, "name")
				delete(c, "email")
			},
			response: func(r map[string]any, _ bool) { delete(r, "scope") },
			leaving: leaving{
				says: ended,
			},
		},
		{ // docs.goauthentik.io: OAuth2 Provider; authentik/providers/oauth2/views
			name: "authentik", settings: []string{"--issuer https://authentik.acme.com/application/o/SLUG/"},
			issuer: "https://authentik.acme.com/application/o/SLUG/",
			urls: map[string]string{
				Authorize: "/application/o/authorize/", Token: "/application/o/token/", Keys: "/application/o/SLUG/jwks/",
				UserInfo: "/application/o/userinfo/", Revoke: "/application/o/revoke/", Device: "/application/o/device/",
				EndSession: "/application/o/SLUG/end-session/",
			},
			scopes: []string{"openid", "email", "profile", "offline_access"},
			access: func(c map[string]any) { c["aud"], c["azp"] = house.Client, house.Client },
			claims: func(c map[string]any, _ bool) {
				c["acr"], c["uid"] = "goauthentik.io/providers/oauth2/default", "u"
				delete(c, "at_hash")
			},
			leaving: leaving{
				needs: hint, alone: true, says: ended,
			},
		},
		{ // docs.goauthentik.io: OAuth2 Provider, Issuer mode
			name: "authentik, one issuer",
			settings: []string{
				"--issuer https://authentik.acme.com/",
				"--discovery-url https://authentik.acme.com/application/o/SLUG/.well-known/openid-configuration",
			},
			issuer: "https://authentik.acme.com/",
			at:     "https://authentik.acme.com/application/o/SLUG/.well-known/openid-configuration",
			urls: map[string]string{
				Authorize: "/application/o/authorize/", Token: "/application/o/token/", Keys: "/application/o/SLUG/jwks/",
				EndSession: "/application/o/SLUG/end-session/", Revoke: "/application/o/revoke/",
			},
			scopes: []string{"openid", "email", "profile", "offline_access"},
			leaving: leaving{
				needs: hint, alone: true, says: ended,
			},
			refuses: []refusal{{settings: "--issuer https://authentik.acme.com/", words: []string{"--discovery-url"}}},
		},
	}
}

// A login, renewals and a logout work with the providers of docs/providers.md, by the flags that its rows give. Where a
// provider wants a setting, the error before says it.
func TestKnownProviders(t *testing.T) {
	t.Parallel()
	for _, k := range likenesses() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			k.work(t)
		})
	}
}

func (k likeness) work(t *testing.T) {
	p, env := k.start(t)
	h := house.New(t, k.issuer, env...)
	settings := flags(k.settings...)
	if k.secret != "" {
		file := filepath.Join(h.Dir, "secret")
		if err := os.WriteFile(file, []byte(k.secret), 0o600); err != nil {
			t.Fatal(err)
		}
		settings = append(settings, "--client-secret-file", file)
		h.Env = append(h.Env, "LOOPKEY_CLIENT_SECRET="+k.secret) // of the later commands
	}
	for _, r := range k.refuses {
		if r.more != nil {
			r.more(p)
		}
		if r.lie != nil {
			p.mu.Lock()
			r.lie(&p.lies)
			p.mu.Unlock()
		}
		house.Refused(t, h.Run(append([]string{"login"}, flags(r.settings)...)...), 4, r.words...)
		p.Confess()
		k.imitate(p)
	}
	login := h.Run(append([]string{"login"}, settings...)...)
	if login.Code != 0 || !strings.Contains(login.Stderr, "Logged in as") {
		t.Fatalf("login exits %d: %s", login.Code, login.Stderr)
	}
	for _, words := range k.said {
		if !strings.Contains(login.Stderr, words) {
			t.Errorf("the login does not say %q: %s", words, login.Stderr)
		}
	}
	queries := p.Queries()
	sent := queries[len(queries)-1]
	for name, want := range k.sent {
		if sent.Get(name) != want || sent.Has(name) != (want != "") {
			t.Errorf("%s was sent as %q, not %q", name, sent[name], want)
		}
	}

	before := h.Must("token")
	for range 2 {
		after := h.Must("token", "--force-refresh")
		if after == before {
			t.Error("nothing was renewed")
		}
		before = after
	}
	if token := h.Must("token", "--id-token"); strings.Count(token, ".") != 2 {
		t.Errorf("%q is no ID token", token)
	}
	if strings.Contains(login.Stderr+h.Run("status").Stderr, "hunter2") {
		t.Error("the client secret is told")
	}

	logout := h.Run("logout")
	if logout.Code != 0 {
		t.Errorf("logout exits %d", logout.Code)
	}
	for _, words := range k.leaving.says {
		if !strings.Contains(logout.Stderr, words) {
			t.Errorf("the logout does not say %q: %s", words, logout.Stderr)
		}
	}
	if !k.leaving.alone {
		return
	}
	if login := h.Run(append([]string{"login"}, settings...)...); login.Code != 0 {
		t.Fatalf("login exits %d: %s", login.Code, login.Stderr)
	}
	logout = h.Run("logout", "--no-browser")
	_, printed, _ := strings.Cut(logout.Stderr, "open:\n")
	printed, _, _ = strings.Cut(printed, "\n")
	page := httptest.NewRecorder()
	k.leaving.hook()(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, printed, nil))
	ended := strings.Contains(page.Body.String(), "logged out at the provider")
	if logout.Code != 0 || page.Code != http.StatusOK || !ended {
		t.Errorf("exit %d; %s leads to %d: %s", logout.Code, printed, page.Code, page.Body)
	}
}

// flags returns settings as arguments.
func flags(settings ...string) (arguments []string) {
	for _, setting := range settings {
		for i, part := range strings.Split(setting, `"`) {
			if i%2 == 1 {
				arguments = append(arguments, strings.ReplaceAll(part, "CLIENT-ID", house.Client))
			} else {
				arguments = append(arguments, strings.Fields(part)...)
			}
		}
	}
	return arguments
}

// start starts the provider. The environment leads to it, whatever its host is called.
func (k likeness) start(t *testing.T) (p *Provider, env []string) {
	t.Helper()
	urls := map[string]string{Discovery: k.at}
	if k.at == "" {
		urls[Discovery] = strings.TrimSuffix(k.issuer, "/") + "/.well-known/openid-configuration"
	}
	names := map[string]bool{}
	for endpoint, at := range k.urls {
		if strings.HasPrefix(at, "/") {
			at = host(k.issuer) + at
		}
		urls[endpoint] = at
	}
	for _, at := range urls {
		names[strings.TrimPrefix(host(at), "https://")] = true
	}
	signed := certificate(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour),
		slices.Collect(maps.Keys(names))...)
	trusted := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(trusted, authorities(signed), 0o600); err != nil {
		t.Fatal(err)
	}
	p = StartAs(t, k.issuer, urls, signed)
	k.imitate(p)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || !names[strings.TrimSuffix(r.Host, ":443")] {
			t.Errorf("the proxy was asked for %s %s", r.Method, r.Host)
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		connect(w, p.Address())
	}))
	t.Cleanup(proxy.Close)
	return p, []string{"SSL_CERT_FILE=" + trusted, "HTTPS_PROXY=" + proxy.URL}
}

// imitate makes the provider do as k does.
func (k likeness) imitate(p *Provider) {
	if k.secret != "" {
		p.Demand(k.secret)
	}
	var renewed, offline atomic.Bool
	var used atomic.Value
	used.Store("")
	p.On(Authorize, func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		offline.Store(q.Get("access_type") == "offline")
		if k.authorize == nil {
			return false
		}
		back := k.authorize(q)
		if back == nil {
			return false
		}
		back.Set("state", q.Get("state"))
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
		return true
	})
	p.On(Token, func(_ http.ResponseWriter, r *http.Request) bool {
		used.Store(r.PostFormValue("refresh_token"))
		renewed.Store(r.PostFormValue("grant_type") == "refresh_token")
		return false
	})
	p.On(EndSession, k.leaving.hook())
	p.Lie(Lies{
		Discovery: func(d map[string]any) {
			if k.scopes != nil {
				d["scopes_supported"] = k.scopes
			}
			if k.metadata != nil {
				k.metadata(d)
			}
		},
		Callback: k.callback,
		Claims: func(c map[string]any) {
			if k.claims != nil {
				k.claims(c, renewed.Load())
			}
			if k.access != nil {
				delete(c, "at_hash")
			}
		},
		Token: func(r map[string]any) {
			if k.access != nil {
				claims := map[string]any{
					"iss": p.issuer, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "jti": r["access_token"],
				}
				k.access(claims)
				r["access_token"] = p.signing.Token(claims)
			}
			switch {
			case renewed.Load() && k.refresh == lasting:
				delete(r, "refresh_token")
			case renewed.Load():
				delete(p.grants, used.Load().(string))
			case k.name == "Google" && !offline.Load():
				delete(r, "refresh_token")
			}
			if k.response != nil {
				k.response(r, renewed.Load())
			}
		},
	})
}

// hook returns the logout page.
func (l leaving) hook() Hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		parameter := "post_logout_redirect_uri"
		if l.parameter != "" {
			parameter = l.parameter
		}
		if l.alone && !q.Has(parameter) {
			_, _ = io.WriteString(w, "logged out at the provider")
			return true
		}
		needs := append(slices.Clone(l.needs), parameter)
		if slices.ContainsFunc(needs, func(name string) bool { return q.Get(name) == "" }) {
			http.Error(w, "a parameter is missing", http.StatusBadRequest)
			return true
		}
		back := q.Get(parameter)
		if !l.silent {
			back += "?state=" + url.QueryEscape(q.Get("state"))
		}
		http.Redirect(w, r, back, http.StatusFound)
		return true
	}
}
