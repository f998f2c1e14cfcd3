package doctor

// A Reason says why a finding is a warning or worse, where no error of a library says it. This package never says what
// to do about it.
type Reason string

// Reasons of the configuration.
const (
	ReasonConfiguration Reason = "configuration" // a value of the configuration can't be used
	ReasonIncomplete    Reason = "incomplete"    // no issuer or no client ID is configured
	ReasonDotEnv        Reason = "dot_env"       // a line or a value of a .env can't be used
)

// Reasons of the way to the provider, and of the provider.
const (
	ReasonUnknownName Reason = "unknown_name" // the name of the provider's host is not known
	ReasonNoResolver  Reason = "no_resolver"  // no name server answers
	ReasonIntercepted Reason = "intercepted"  // the certificate of a public provider is of a private authority
	ReasonExpiring    Reason = "expiring"     // the provider's certificate expires within a week
	ReasonClock       Reason = "clock"        // this computer's clock and the provider's differ by more than a minute
	ReasonPlainPKCE   Reason = "plain_pkce"   // the provider's metadata lists PKCE methods, and S256 is not among them
)

// Reasons of what the provider thinks of the client.
const (
	ReasonUnknownClient    Reason = "unknown_client"     // the provider does not know the client ID
	ReasonLoginPage        Reason = "login_page"         // in place of its login page, the provider shows an error page
	ReasonAnyCode          Reason = "any_code"           // the provider gives tokens for a code that it never granted
	ReasonNeedlessSecret   Reason = "needless_secret"    // a client secret is configured, and the provider asks for none
	ReasonEndSessionHidden Reason = "end_session_hidden" // the Auth0 tenant does not name its end_session_endpoint
)

// Reasons of this machine, and of the session.
const (
	ReasonNoBrowser      Reason = "no_browser"       // no browser can be opened here
	ReasonNoAudience     Reason = "no_audience"      // no audience is configured, so that Auth0's access tokens are opaque
	ReasonNoOffline      Reason = "no_offline"       // the scope of logins lacks offline_access
	ReasonNoRefreshToken Reason = "no_refresh_token" // a login asked for a refresh token and got none
)
