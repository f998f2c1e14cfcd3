package config

import (
	"strings"
	"testing"
)

// The domains of one tenant are one session, where the profile lists them, whoever names one of them.
func TestOtherDomains(t *testing.T) {
	t.Parallel()
	profile := `[profile.default]
domain = "login.acme.example"
client_id = "cli"
audience = "https://api.acme.example/"
other_domains = "login.brand.example ACME.eu.auth0.com"
`
	named := load(t, world{toml: profile}).Client
	if !named.Auth0 || named.Issuer != "https://login.acme.example/" {
		t.Fatalf("%+v", named)
	}
	for name, w := range map[string]world{
		"a flag":          {flags: map[string]string{"domain": "acme.eu.auth0.com"}},
		"as an issuer":    {flags: map[string]string{"issuer": "https://login.brand.example/"}},
		"the environment": {env: []string{"AUTH0_DOMAIN=https://acme.eu.auth0.com"}},
		"a .env":          {dotEnv: "AUTH0_DOMAIN=acme.eu.auth0.com\nAUTH0_CLIENT_ID=cli\n"},
		"a .env, beside a profile that is named": {
			dotEnv: "AUTH0_DOMAIN=acme.eu.auth0.com\nAPP_BASE_URL=http://localhost:4000\n",
			flags:  map[string]string{"profile": "default"},
		},
	} {
		w.toml = profile
		c := load(t, w)
		if c.Name() != named.Name() || !c.Auth0 || c.Audience != "https://api.acme.example/" {
			t.Errorf("%s: %+v for %s", name, c.Client, c.Audience)
		}
		if strings.HasSuffix(name, "named") && c.BaseURL != "http://localhost:4000" {
			t.Errorf("%s: the .env counts for another client's: %s", name, c.BaseURL)
		}
	}
	for _, other := range []string{"eve.eu.auth0.com", "acme.eu.auth0.com:8443", "login.brand.example.eve.example"} {
		if c := load(t, world{toml: profile, flags: map[string]string{"domain": other}}); c.Name() == named.Name() {
			t.Errorf("%s stands for the tenant", other)
		}
	}
	wrong := world{toml: strings.Replace(profile, "login.brand.example", "login/x", 1)}
	if _, err := Load(wrong.input(t)); err == nil || !strings.Contains(err.Error(), "no domain") {
		t.Errorf("got %v", err)
	}
}
