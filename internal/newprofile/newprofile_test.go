package newprofile

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// What people paste for their provider is understood.
func TestReadAddress(t *testing.T) {
	t.Parallel()
	const entraTenant = "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0"
	for typed, issuers := range map[string]string{
		"acme.eu.auth0.com":                                          "https://acme.eu.auth0.com/",
		" ACME.eu.auth0.com\n":                                       "https://acme.eu.auth0.com/",
		`"https://acme.eu.auth0.com"`:                                "https://acme.eu.auth0.com/",
		"http://acme.eu.auth0.com/":                                  "https://acme.eu.auth0.com/",
		"acme.eu.auth0.com/authorize?x":                              "https://acme.eu.auth0.com/",
		"https://acme.eu.auth0.com/.well-known/openid-configuration": "https://acme.eu.auth0.com/",
		"https://manage.auth0.com/dashboard/eu/acme/":                "https://acme.eu.auth0.com/",
		"https://manage.auth0.com/dashboard/us/dev-1/applications": "" +
			"https://dev-1.us.auth0.com/ https://dev-1.auth0.com/",
		"login.example.com":                             "https://login.example.com",
		"https://login.example.com/":                    "https://login.example.com/",
		"https://login.example.com/a/.well-known/x?y=z": "https://login.example.com/a",
		"localhost":                      "https://localhost",
		"keycloak:8443":                  "https://keycloak:8443",
		"https://keycloak":               "https://keycloak",
		"http://localhost:8080/realms/r": "http://localhost:8080/realms/r",
		"https://kc.acme.com/auth/admin/master/console/#/r":                     "https://kc.acme.com/auth/realms/r",
		"https://kc.acme.com/realms/r/protocol/openid-connect/auth?client_id=c": "https://kc.acme.com/realms/r",
		"https://acme-admin.okta.com/admin/apps/active":                         "https://acme.okta.com",
		"https://acme.okta.com/oauth2/v1/authorize":                             "https://acme.okta.com",
		"https://acme.okta.com/oauth2/default/v1/authorize":                     "https://acme.okta.com/oauth2/default",
		strings.TrimSuffix(entraTenant, "v2.0") + "oauth2/v2.0/authorize":       entraTenant,
		entraTenant: entraTenant,
		"https://console.cloud.google.com/auth/clients?project=p": "https://accounts.google.com",
		"https://eu-west-1.console.aws.amazon.com/cognito/v2/idp/user-pools/eu-west-1_Ab/info?region=eu-west-1": "https://" +
			"cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab",
	} {
		got, err := ReadAddress(typed)
		if err != nil || !slices.Equal(got.Issuers, strings.Fields(issuers)) {
			t.Errorf("ReadAddress(%q) = %q, %v, not %q", typed, got.Issuers, err, issuers)
		}
	}
	a, err := ReadAddress("https://manage.auth0.com/dashboard/eu/acme/applications/s6BhdRkqt3/settings")
	if err != nil || a.ClientID != "s6BhdRkqt3" || a.Why == "" {
		t.Errorf("the Dashboard's page of an application is %+v, %v", a, err)
	}
}

// What names no issuer is refused, with where the issuer is to be found.
func TestReadAddressRefuses(t *testing.T) {
	t.Parallel()
	for typed, why := range map[string]string{
		"":                                  "empty",
		"two words.example":                 "space",
		"Acme":                              "such as acme.eu.auth0.com, or https://acme for a host",
		"https://acmé.example":              "ASCII",
		"https://user:pass@acme.example":    "before the @",
		"ftp://acme.example":                "such as",
		"https://":                          "such as",
		"https://manage.auth0.com/welcome/": "Applications → your app",
		"https://portal.azure.com/#home":    "Directory (tenant) ID",
		"https://login.microsoftonline.com/common/v2.0": "TENANT-ID",
		"https://eu-west-1.console.aws.amazon.com/iam/": "POOL-ID",
		strings.Repeat("a", 5000):                       "too long",
	} {
		if _, err := ReadAddress(typed); !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), why) {
			t.Errorf("ReadAddress(%.40q): %v", typed, err)
		}
	}
}

// FuzzReadAddress checks that every issuer is a URL without a user, a query or a fragment, and plain http only on the
// loopback.
func FuzzReadAddress(f *testing.F) {
	f.Add("https://manage.auth0.com/dashboard/us/a?b/applications/c")
	f.Add("https://kc.acme.com/auth/admin/master/console/#/r/../x?y")
	f.Fuzz(func(t *testing.T, typed string) {
		a, err := ReadAddress(typed)
		if err != nil {
			return
		}
		for _, issuer := range a.Issuers {
			u, err := url.Parse(issuer)
			if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
				t.Errorf("ReadAddress(%q) = %q", typed, issuer)
			}
		}
	})
}

// The auth0 program replaces whole lists, so an update names what the application has already.
func TestUpdateAuth0(t *testing.T) {
	t.Parallel()
	const first, second = "http://localhost:3000", "http://localhost:3001"
	urls := URLs{Callbacks: []string{first + "/auth/callback"}, Logouts: []string{first}}
	two := URLs{Callbacks: []string{first + "/auth/callback", second + "/auth/callback"}, Logouts: []string{first, second}}
	const grants = `"grant_types": ["refresh_token", "authorization_code"]`
	for name, c := range map[string]struct{ app, wanted, fails string }{
		"all there": {
			app: `"callbacks": ["http://localhost:3000/auth/callback"], ` +
				`"allowed_logout_urls": ["http://localhost:3000"], ` + grants,
		},
		"nothing there": {
			app: `"name": "x"`,
			wanted: "--callbacks http://localhost:3000/auth/callback --logout-urls http://localhost:3000 " +
				"--grants code,refresh-token",
		},
		"others are kept": {
			app: `"callbacks": ["https://a/cb", "https://b/cb"], "allowed_logout_urls": ["http://localhost:3000"], ` +
				`"grant_types": ["refresh_token", "implicit"]`,
			wanted: "--callbacks https://a/cb,https://b/cb,http://localhost:3000/auth/callback " +
				"--grants refresh-token,implicit,code",
		},
		"a comma": {app: `"callbacks": ["https://a/cb?x=1,2"], ` + grants, fails: "a comma"},
		"a grant that the program has no name for": {
			app: `"grant_types": ["urn:openid:params:grant-type:ciba"]`, fails: "does not know all grants",
		},
	} {
		app, err := ReadAuth0([]byte(`{"client_id": "s6B", ` + c.app + `}`))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := app.Update("acme.eu.auth0.com", urls)
		wanted := ""
		if c.wanted != "" {
			wanted = "auth0 apps update s6B " + c.wanted +
				" --tenant acme.eu.auth0.com --reveal-secrets=false --json --no-input"
		}
		switch {
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%s: %v", name, err)
		case c.fails == "" && (err != nil || strings.Join(got, " ") != wanted):
			t.Errorf("%s: %v\n%s, not\n%s", name, err, strings.Join(got, " "), wanted)
		}
	}
	app := Auth0App{ClientID: "s6B", Callbacks: urls.Callbacks, Grants: []string{"authorization_code", "refresh_token"}}
	got, err := app.Update("acme.eu.auth0.com", two)
	created := CreateAuth0("acme.eu.auth0.com", "n", two)
	for _, command := range [][]string{got, created} {
		text := strings.Join(command, " ")
		if err != nil || !strings.Contains(text, "--callbacks http://localhost:3000/auth/callback,"+
			"http://localhost:3001/auth/callback --logout-urls http://localhost:3000,http://localhost:3001 ") {
			t.Errorf("two ports: %v, %s", err, text)
		}
	}
	for _, printed := range []string{
		"", "null", "[]", `{"client_id": ""}`, `{"client_id": "--debug"}`, `{"client_id": "a b"}`,
	} {
		if _, err := ReadAuth0([]byte(printed)); !errors.Is(err, ErrAuth0) {
			t.Errorf("ReadAuth0(%q): %v", printed, err)
		}
	}
}

// The auth0 program knows a tenant by its domain at Auth0, and by no domain of the tenant's own.
func TestAuth0Knows(t *testing.T) {
	t.Parallel()
	for domain, known := range map[string]bool{
		"acme.eu.auth0.com": true, "acme.auth0.com": true, "login.acme.com": false, "acme.notauth0.com": false, "": false,
	} {
		if got := Auth0Knows(domain); got != known {
			t.Errorf("Auth0Knows(%q) = %v", domain, got)
		}
	}
}

// An issuer leads to its provider's row, and a domain to its page of the Dashboard.
func TestPlacesOf(t *testing.T) {
	t.Parallel()
	for issuer, provider := range map[string]string{
		"https://keycloak.acme.com/realms/r":                          "Keycloak",
		"https://acme.okta.com/oauth2/default":                        "Okta",
		"https://login.microsoftonline.com/x/v2.0":                    "Entra ID",
		"https://accounts.google.com":                                 "Google",
		"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab":    "Cognito",
		"https://accounts.google.com.evil.example":                    Other,
		"https://login.example.com":                                   Other,
		"https://login.example.com/okta.com":                          Other,
		"https://login.example.com/?x=/realms/":                       Other,
		"https://acme.example/auth/realms/master":                     "Keycloak",
		"https://acme.b2clogin.com/TENANT-ID/v2.0/":                   "Entra ID",
		"https://acme.oktapreview.com":                                "Okta",
		"https://cognito-idp.example.com.evil.example/realms/of/mine": "Keycloak",
	} {
		if got := PlacesOf(issuer, false).Provider; got != provider {
			t.Errorf("%s is %s's, not %s's", issuer, got, provider)
		}
	}
	if got := PlacesOf("https://login.acme.com/", true).Provider; got != "Auth0" {
		t.Errorf("a tenant's own domain is %s's", got)
	}
	for domain, page := range map[string]string{
		"acme.eu.auth0.com": "https://manage.auth0.com/dashboard/eu/acme/applications/c%2F/settings",
		"acme.auth0.com":    "https://manage.auth0.com/dashboard/us/acme/applications/c%2F/settings",
		"login.acme.com":    "",
	} {
		if got := DashboardURL(domain, "c/"); got != page {
			t.Errorf("the page of %s is %s", domain, got)
		}
	}
}

// docs/providers.md has the table of places as it is here.
func TestPlacesInDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all() {
		logout := p.Logout
		if logout == "" {
			logout = "none"
		}
		row := "| " + strings.Join([]string{p.Provider, p.Make, p.Callback, logout, strings.Join(p.Also, "; ")}, " | ") + " |"
		if row = strings.ReplaceAll(row, "|  |", "| |"); !strings.Contains(string(page), row+"\n") {
			t.Errorf("docs/providers.md lacks this row:\n%s", row)
		}
	}
}

// Each provider with a row has a page: the places as they are here, and what can fail as docs/troubleshooting.md has
// it.
func TestProviderPages(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	table, troubles := read("providers.md"), read("troubleshooting.md")
	for _, p := range all() {
		if p.Provider == Other {
			continue
		}
		name := "providers/" + strings.ToLower(strings.TrimSuffix(p.Provider, " ID")) + ".md"
		if !strings.Contains(table, "]("+name+")") {
			t.Errorf("docs/providers.md has no link to %s", name)
		}
		page := read(name)
		steps := []string{
			"Make an application: **" + p.Make + "**.", "**" + p.Callback + "**: `http://localhost:3000/auth/callback`",
		}
		if p.Logout != "" {
			steps = append(steps, "**"+p.Logout+"**: `http://localhost:3000`")
		}
		for _, also := range p.Also {
			steps = append(steps, "Switch on: **"+also+"**.")
		}
		list := ""
		for i, step := range steps {
			list += fmt.Sprintf("%d. %s\n", i+1, step)
		}
		if !strings.Contains(page, "\n\n"+list+"\n") {
			t.Errorf("%s lacks this list:\n%s", name, list)
		}
		_, fails, found := strings.Cut(page, "\n## When it fails\n")
		lines := 0
		for line := range strings.Lines(fails) {
			if strings.HasPrefix(line, "- ") {
				lines++
				if !strings.Contains(troubles, "\n"+line) {
					t.Errorf("%s: docs/troubleshooting.md has no such line:\n%s", name, line)
				}
			}
		}
		if !found || lines < 4 {
			t.Errorf("%s says of %d failures what to do", name, lines)
		}
	}
}
