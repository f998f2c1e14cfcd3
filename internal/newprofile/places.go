package newprofile

import (
	"net/url"
	"strings"
)

// Places are the names by which a provider calls what loopkey needs of it.
type Places struct {
	Provider  string
	Make      string   // where an application is made, and of which kind
	Callback  string   // the list of callback URLs
	Logout    string   // the list of logout URLs; "": the provider has none
	Also      []string // what else there is to switch on
	HasSecret bool     // a client there has a secret, whatever its kind
}

// Other is the Provider of Places at a provider that has no row of its own.
const Other = "another provider"

// all is the table of the providers. docs/providers.md has the same rows, docs/providers/ a page for each, and tests
// hold them together.
func all() []Places {
	return []Places{
		{
			Provider: "Auth0", Make: "Dashboard → Applications → Create Application → Native",
			Callback: "Settings → Allowed Callback URLs", Logout: "Settings → Allowed Logout URLs",
			Also: []string{
				"Settings → Refresh Token Rotation", "Settings → Advanced → Grant Types → Refresh Token",
				"for tokens to an API: Applications → APIs → your API → Settings → Allow Offline Access",
			},
		},
		{
			Provider: "Keycloak", Make: "Clients → Create client, Client authentication off, Standard flow on",
			Callback: "Settings → Valid redirect URIs", Logout: "Settings → Valid post logout redirect URIs",
		},
		{
			Provider: "Okta", Make: "Applications → Create App Integration → OIDC → Native Application",
			Callback: "General → Sign-in redirect URIs", Logout: "General → Sign-out redirect URIs",
			Also: []string{"General → Grant type → Refresh Token"},
		},
		{
			Provider: "Entra ID", Make: "App registrations → New registration",
			Callback: "Authentication → Add a platform → Mobile and desktop applications → Custom redirect URIs",
			Logout:   "the same list",
		},
		{
			Provider: "Google",
			Make: "Google Auth Platform → Clients → Create client → Web application, " +
				"or Desktop app, which needs no URL",
			Callback: "Authorized redirect URIs", HasSecret: true,
		},
		{
			Provider: "Cognito", Make: "User pools → your pool → App clients → Create app client → Mobile app",
			Callback: "Login pages → Allowed callback URLs", Logout: "Login pages → Allowed sign-out URLs",
		},
		{
			Provider: Other, Make: "a public client (native), the authorization code flow with PKCE",
			Callback: "redirect URIs", Logout: "post logout redirect URIs",
			Also: []string{"the refresh token grant"},
		},
	}
}

// PlacesOf returns the names at the provider of an issuer.
func PlacesOf(issuer string, auth0 bool) Places {
	name := Other
	u, err := url.Parse(issuer)
	if err != nil {
		u = &url.URL{}
	}
	host := u.Hostname()
	switch {
	case auth0:
		name = "Auth0"
	case strings.Contains(u.Path, "/realms/"):
		name = "Keycloak"
	case strings.HasSuffix(host, ".okta.com"), strings.HasSuffix(host, ".oktapreview.com"):
		name = "Okta"
	case host == "login.microsoftonline.com", host == "sts.windows.net", strings.HasSuffix(host, ".b2clogin.com"):
		name = "Entra ID"
	case host == "accounts.google.com":
		name = "Google"
	case strings.HasPrefix(host, "cognito-idp."):
		name = "Cognito"
	}
	for _, p := range all() {
		if p.Provider == name {
			return p
		}
	}
	return Places{}
}

// DashboardURL returns the page of Auth0's Dashboard with the settings of an application, or with all applications
// where the ID is "". It is "" for a domain that does not name the tenant.
func DashboardURL(domain, clientID string) string {
	tenant, ok := strings.CutSuffix(domain, ".auth0.com")
	if !ok {
		return ""
	}
	tenant, region, ok := strings.Cut(tenant, ".")
	if !ok {
		region = "us"
	}
	page := "https://manage.auth0.com/dashboard/" + region + "/" + tenant + "/applications"
	if clientID != "" {
		page += "/" + url.PathEscape(clientID) + "/settings"
	}
	return page
}
