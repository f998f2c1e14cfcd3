// Package provider talks to one OpenID provider for one client. It is the only
// room that sends requests to an issuer or believes a token.
package provider

import (
	"net/http"
	"net/url"
	"time"
)

// Config names a provider and the client that loopkey is there.
type Config struct {
	Issuer            string           // required, as the provider writes it: compared to the letter
	ClientID          string           // required
	ClientSecret      Secret           // zero: a public client, PKCE alone protects it
	Auth0             bool             // the issuer is an Auth0 tenant (--domain); also true by itself for *.auth0.com
	AudienceParameter string           // "audience" or "resource" (RFC 8707); "" chooses by Auth0
	CacheDir          string           // where discovery and keys are kept between runs; "" keeps them in memory
	AppName           string           // the program, which goes before loopkey in the User-Agent; "": loopkey alone
	HTTPClient        *http.Client     // nil: one with limits, that honours HTTPS_PROXY and SSL_CERT_FILE
	Now               func() time.Time // nil: the clock on the wall
}

// DefaultScope is the scope of a login that asks for none in particular: who the user is, and a refresh token.
const DefaultScope = "openid profile email offline_access"

// An AuthorizationRequest is what a login asks of the authorization endpoint
// (OpenID Connect Core 1.0, section 3.1.2.1; RFC 7636, section 4.3).
type AuthorizationRequest struct {
	RedirectURI   string
	State, Nonce  string
	CodeChallenge string     // S256 of the code verifier
	Scope         string     // space-separated
	Audience      string     // sent as `audience` or `resource`
	Extra         url.Values // organization, connection, login_hint, screen_hint, prompt, acr_values, max_age, ui_locales, invitation
}

// A CodeExchange turns the authorization code of one login into tokens, and says what that login sent.
type CodeExchange struct {
	Code         Secret
	RedirectURI  string
	CodeVerifier Secret
	Nonce        string
	Scope        string        // as asked: what an answer without scope means (RFC 6749, section 5.1)
	Audience     string        // as asked
	MaxAge       time.Duration // as asked with max_age, then auth_time is demanded; negative or zero: not asked
	Organization string        // as asked of Auth0, by ID or by name; "": not asked
}

// A RefreshRequest asks for new tokens by refresh token (RFC 6749, section 6).
type RefreshRequest struct {
	RefreshToken Secret
	Scope        string // "": as granted
	Audience     string // "": the default one; sent as `audience` or `resource`
	// What the first ID token said; a renewed one must say the same (OpenID Connect Core 1.0, section 12.2).
	Subject  string
	AuthTime time.Time // zero: the first had none
	Nonce    string    // "": not known; a renewed one needs none
	// Organization is its org_id (Auth0); "": it had none.
	Organization string
	Unproven     bool // the refresh token came beside an ID token that was not believed: one that is believed is demanded
}

// Tokens are what a provider granted, after every check was passed.
type Tokens struct {
	AccessToken   Secret
	TokenType     string    // Bearer, whatever case the provider writes
	Expiry        time.Time // the earlier of expires_in and a JWT's exp; zero: the provider did not say
	Scope         string    // as granted, space-separated
	Audience      string    // as asked; "" is the provider's default
	RefreshToken  Secret    // zero: none came (for a renewal: the old one goes on)
	RefreshExpiry time.Time // refresh_expires_in / refresh_token_expires_in where told; zero: not told
	SessionExpiry time.Time // the ID token's session_expiry claim where told; zero: not told
	IDToken       Secret    // zero: none came, which only a renewal may do
	IDTokenExpiry time.Time
	Claims        Claims // the ID token's; nil when none came
	UserInfo      Claims // what UserInfo says that the ID token lacks; nil when it was not asked
	Unproven      bool   // beside an error of Refresh: an ID token came and was not believed, and none has been since
}

// A DeviceCode is a device login that waits for the person (RFC 8628, section 3.2).
type DeviceCode struct {
	UserCode                string
	VerificationURI         string
	VerificationURIComplete string
	Expiry                  time.Time
	Interval                time.Duration
	deviceCode              Secret
	scope, audience         string
}
