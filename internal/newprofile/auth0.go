package newprofile

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Auth0Program is the name of Auth0's own command-line program.
const Auth0Program = "auth0"

// URLs are what an application has to allow: those of each port that the local server may have.
type URLs struct{ Callbacks, Logouts []string }

// An Auth0App is an application as the auth0 program shows it. It never holds a secret: the program is not asked to
// reveal one.
type Auth0App struct {
	ClientID   string   `json:"client_id"`
	Name       string   `json:"name"`
	Type       string   `json:"app_type"`
	Callbacks  []string `json:"callbacks"`
	LogoutURLs []string `json:"allowed_logout_urls"`
	Grants     []string `json:"grant_types"`
	Refresh    struct {
		Rotation string `json:"rotation_type"`
	} `json:"refresh_token"`
}

// Rotates reports whether each refresh token of the application is used once.
func (app Auth0App) Rotates() bool { return app.Refresh.Rotation == "rotating" }

// Auth0Knows reports whether the program can be told a tenant by this domain: it knows none by a domain of the
// tenant's own. (A tenant of the tests has http:// before its domain.)
func Auth0Knows(domain string) bool {
	return strings.HasSuffix(domain, ".auth0.com") || strings.HasPrefix(domain, "http://")
}

// rotating is how the API of Auth0 is told to rotate refresh tokens: these two it demands.
const rotating = `{"rotation_type":"rotating","expiration_type":"expiring"}`

// auth0Grants are the names of the program for the grants of Auth0's API. A grant that is not among them would be
// lost if the program were told the others.
func auth0Grants() map[string]string {
	return map[string]string{
		"authorization_code": "code", "implicit": "implicit", "refresh_token": "refresh-token",
		"client_credentials": "credentials", "password": "password",
		"http://auth0.com/oauth/grant-type/password-realm":    "password-realm",
		"http://auth0.com/oauth/grant-type/mfa-oob":           "mfa-oob",
		"http://auth0.com/oauth/grant-type/mfa-otp":           "mfa-otp",
		"http://auth0.com/oauth/grant-type/mfa-recovery-code": "mfa-recovery-code",
		"urn:ietf:params:oauth:grant-type:device_code":        "device-code",
	}
}

// CreateAuth0 returns the command that makes a native application at a tenant.
func CreateAuth0(tenant, name string, urls URLs) []string {
	return auth0(tenant, "create", "--name", name, "--type", "native", "--auth-method", "None",
		"--callbacks", strings.Join(urls.Callbacks, ","), "--logout-urls", strings.Join(urls.Logouts, ","),
		"--grants", "code,refresh-token,device-code", "--refresh-token", rotating)
}

// ShowAuth0 returns the command that shows an application of a tenant.
func ShowAuth0(tenant, clientID string) []string { return auth0(tenant, "show", clientID) }

// auth0 returns a command of the program that asks nothing, reveals nothing, and is for no other tenant.
func auth0(tenant, verb string, args ...string) []string {
	return slices.Concat([]string{Auth0Program, "apps", verb}, args,
		[]string{"--tenant", tenant, "--reveal-secrets=false", "--json", "--no-input"})
}

// ErrAuth0 says that what the auth0 program printed, or shows of an application, can't be used.
var ErrAuth0 = errors.New("the auth0 program")

// ReadAuth0 reads what the program prints about an application.
func ReadAuth0(printed []byte) (Auth0App, error) {
	var app Auth0App
	if err := json.Unmarshal(printed, &app); err != nil || !IsClientID(app.ClientID) {
		return Auth0App{}, fmt.Errorf("%w printed no application as JSON", ErrAuth0)
	}
	return app, nil
}

// Update returns the command that adds to the application what it lacks, and keeps what it has: the program replaces
// whole lists. It is nil where nothing is missing.
func (app Auth0App) Update(tenant string, urls URLs) ([]string, error) {
	var args []string
	for _, list := range []struct {
		flag        string
		wanted, has []string
	}{{"--callbacks", urls.Callbacks, app.Callbacks}, {"--logout-urls", urls.Logouts, app.LogoutURLs}} {
		lacks := slices.DeleteFunc(slices.Clone(list.wanted), func(s string) bool { return slices.Contains(list.has, s) })
		if len(lacks) == 0 {
			continue
		}
		if slices.ContainsFunc(list.has, func(s string) bool { return strings.ContainsAny(s, "\",\r\n") }) {
			return nil, fmt.Errorf("%w can't be given the URLs that the application has, for one holds a comma", ErrAuth0)
		}
		args = append(args, list.flag, strings.Join(slices.Concat(list.has, lacks), ","))
	}
	grants := slices.Clone(app.Grants)
	for _, grant := range []string{"authorization_code", "refresh_token"} {
		if !slices.Contains(grants, grant) {
			grants = append(grants, grant)
		}
	}
	if len(grants) > len(app.Grants) {
		names := make([]string, len(grants))
		for i, grant := range grants {
			if names[i] = auth0Grants()[grant]; names[i] == "" {
				return nil, fmt.Errorf("%w does not know all grants that the application has", ErrAuth0)
			}
		}
		args = append(args, "--grants", strings.Join(names, ","))
	}
	if args == nil {
		return nil, nil
	}
	return auth0(tenant, "update", append([]string{app.ClientID}, args...)...), nil
}

// IsClientID reports whether text can be a client ID: printable ASCII without spaces (RFC 6749, appendix A.1). One that
// begins with a dash would be an option of the program.
func IsClientID(text string) bool {
	return text != "" && len(text) <= 2<<10 && !strings.HasPrefix(text, "-") &&
		!strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
