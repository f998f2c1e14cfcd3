package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
)

// A world is the outside as a test wants it: a home, a working directory, and their files.
type world struct {
	flags  map[string]string
	env    []string
	dotEnv string // content of ./.env; "" for none
	toml   string // content of config.toml; "" for none
}

func (w world) input(t testing.TB) Input {
	t.Helper()
	dir, home := t.TempDir(), t.TempDir()
	in := Input{Flags: w.flags, Dir: dir}
	in.Environ = append([]string{
		private.HomeVariable() + "=" + home, "LOOPKEY_CONFIG=" + filepath.Join(home, "config.toml"),
	}, w.env...)
	write(t, filepath.Join(dir, ".env"), w.dotEnv)
	if w.toml == "" {
		in.Environ = slices.Delete(in.Environ, 1, 2)
	}
	write(t, filepath.Join(home, "config.toml"), w.toml)
	return in
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if content == "" {
		return
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func load(t testing.TB, w world) *Config {
	t.Helper()
	c, err := Load(w.input(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheFirstOneSetWins(t *testing.T) {
	t.Parallel()
	values := map[string]struct {
		flag, key string
		variables []string
		inDotEnv  bool
		of        func(source string) string // the text that a source gives
		get       func(*Config) string
		want      func(text string) string
	}{
		"domain": {
			flag: "domain", key: "domain", variables: []string{"AUTH0_DOMAIN"}, inDotEnv: true,
			of: func(s string) string { return s + ".auth0.com" }, get: func(c *Config) string { return c.Issuer },
			want: func(text string) string { return "https://" + text + "/" },
		},
		"issuer": {
			flag: "issuer", key: "issuer", variables: []string{"LOOPKEY_ISSUER"}, inDotEnv: true,
			of:  func(s string) string { return "https://" + s + ".example.com/realm" },
			get: func(c *Config) string { return c.Issuer },
		},
		"client-id": {
			flag: "client-id", key: "client_id", variables: []string{"LOOPKEY_CLIENT_ID", "AUTH0_CLIENT_ID"}, inDotEnv: true,
			of: func(s string) string { return s }, get: func(c *Config) string { return c.ClientID },
		},
		"audience": {
			flag: "audience", key: "audience", variables: []string{"LOOPKEY_AUDIENCE", "AUTH0_AUDIENCE"}, inDotEnv: true,
			of: func(s string) string { return "https://" + s }, get: func(c *Config) string { return c.Audience },
		},
		"scope": {
			flag: "scope", key: "scope", variables: []string{"LOOPKEY_SCOPE"}, inDotEnv: true,
			of: func(s string) string { return "openid " + s }, get: func(c *Config) string { return c.Scope },
		},
		"base-url": {
			flag: "base-url", key: "base_url", variables: []string{"APP_BASE_URL"}, inDotEnv: true,
			of:  func(s string) string { return fmt.Sprintf("http://localhost:%d", 4000+len(s)) },
			get: func(c *Config) string { return c.BaseURL },
		},
		"keystore": {
			flag: "keystore", key: "keystore", variables: []string{"LOOPKEY_KEYSTORE"},
			of: func(s string) string {
				if s == "flag" || s == "dotenv" {
					return "file"
				}
				return "keychain"
			},
			get: func(c *Config) string { return c.Keystore },
		},
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sources := append([]string{"flag"}, v.variables...)
			if v.inDotEnv {
				for _, variable := range v.variables {
					sources = append(sources, "dotenv "+variable)
				}
			}
			sources = append(sources, "profile")
			for i, high := range sources {
				for _, low := range sources[i:] { // itself alone, too
					w := world{flags: map[string]string{}}
					for _, source := range []string{high, low} {
						text := v.of(label(source))
						variable, inDotEnv := strings.CutPrefix(source, "dotenv ")
						switch {
						case source == "flag":
							w.flags[v.flag] = text
						case source == "profile":
							w.toml = fmt.Sprintf("[profile.default]\n%s = %q\n", v.key, text)
						case inDotEnv:
							w.dotEnv += variable + "=\"" + text + "\"\n"
						default:
							w.env = append(w.env, source+"="+text)
						}
					}
					c := load(t, w)
					want := v.of(label(high))
					if v.want != nil {
						want = v.want(want)
					}
					if got := v.get(c); got != want {
						t.Errorf("%s over %s: %q, want %q", high, low, got, want)
					}
					origin := map[string]string{"flag": "flag --" + v.flag, "profile": "profile default in "}[high]
					if variable, ok := strings.CutPrefix(high, "dotenv "); ok {
						origin = variable + " in ./.env"
					} else if origin == "" {
						origin = high + " in the environment"
					}
					if got := c.Origin(name); !strings.HasPrefix(got, origin) {
						t.Errorf("%s over %s: origin %q, want %q", high, low, got, origin)
					}
				}
			}
		})
	}
}

// label makes a source's name fit for a host.
func label(source string) string {
	return strings.ToLower(strings.NewReplacer(" ", "-", "_", "-").Replace(source))
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := load(t, world{
		env: []string{"LOOPKEY_CLIENT_ID=", "AUTH0_DOMAIN=", "LOOPKEY_PROFILE="}, flags: map[string]string{"audience": ""},
	})
	if c.Profile != "default" || c.Scope != "openid profile email offline_access" ||
		c.BaseURL != "http://localhost:3000" || c.Keystore != "keychain" {
		t.Errorf("%+v", c)
	}
	for _, name := range []string{
		"issuer", "domain", "client-id", "client-secret", "audience", "scope", "base-url", "keystore", "profile",
	} {
		if got := c.Origin(name); got != "default" {
			t.Errorf("origin of %s: %q", name, got)
		}
	}
	if !filepath.IsAbs(c.StateDir) || !filepath.IsAbs(c.CacheDir) || c.StateDir == c.CacheDir {
		t.Errorf("state in %q, cache in %q", c.StateDir, c.CacheDir)
	}
	if err := c.Complete(); !errors.Is(err, ErrInvalid) || !strings.Contains(told(err), "no_issuer") {
		t.Errorf("Complete: %v", err)
	}
	c = load(t, world{env: []string{"AUTH0_DOMAIN=acme.auth0.com"}})
	if err := c.Complete(); !errors.Is(err, ErrInvalid) || !strings.Contains(told(err), "no_client_id") {
		t.Errorf("Complete: %v", err)
	}
	c = load(t, world{env: []string{"AUTH0_DOMAIN=acme.auth0.com", "AUTH0_CLIENT_ID=x", "LOOPKEY_SCOPE=email"}})
	if err := c.Complete(); err != nil {
		t.Errorf("Complete: %v", err)
	}
	if err := c.CompleteForLogin(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "openid") {
		t.Errorf("CompleteForLogin: %v", err)
	}
}

func TestDomainAndIssuerAreOneValue(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		world
		issuer string
		auth0  bool
	}{
		"the flag of one over the variable of the other": {
			world{flags: map[string]string{"domain": "a.auth0.com"}, env: []string{"LOOPKEY_ISSUER=https://b.example.com"}},
			"https://a.auth0.com/", true},
		"the other way round": {
			world{flags: map[string]string{"issuer": "https://b.example.com"}, env: []string{"AUTH0_DOMAIN=a.auth0.com"}},
			"https://b.example.com", false},
		"LOOPKEY_ISSUER before AUTH0_DOMAIN": {
			world{env: []string{"LOOPKEY_ISSUER=https://b.example.com", "AUTH0_DOMAIN=a.auth0.com"}},
			"https://b.example.com", false},
		"in ./.env too": {
			world{dotEnv: "AUTH0_DOMAIN=a.auth0.com\nLOOPKEY_ISSUER=https://b.example.com\n"}, "https://b.example.com", false},
		"a lower layer that is wrong decides nothing": {
			world{flags: map[string]string{"domain": "a.auth0.com"}, env: []string{"LOOPKEY_ISSUER=gopher://b"}},
			"https://a.auth0.com/", true},
		"both flags that agree": {
			world{flags: map[string]string{"domain": "a.auth0.com", "issuer": "https://a.auth0.com/"}},
			"https://a.auth0.com/", true},
		"an issuer at Auth0 is Auth0": {
			world{flags: map[string]string{"issuer": "https://a.eu.auth0.com/"}}, "https://a.eu.auth0.com/", true},
		"a domain of one's own is Auth0": {
			world{flags: map[string]string{"domain": "login.example.com"}}, "https://login.example.com/", true},
		"notauth0.com is not": {
			world{flags: map[string]string{"issuer": "https://notauth0.com/"}}, "https://notauth0.com/", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, test.world)
			if c.Issuer != test.issuer || c.Auth0 != test.auth0 || c.RefreshAudiences != test.auth0 {
				t.Errorf("issuer %q, Auth0 %v, audiences by refresh %v", c.Issuer, c.Auth0, c.RefreshAudiences)
			}
		})
	}
}

func TestIssuerOfDomain(t *testing.T) {
	t.Parallel()
	for domain, want := range map[string]string{
		"acme.eu.auth0.com": "https://acme.eu.auth0.com/", "https://acme.eu.auth0.com": "https://acme.eu.auth0.com/",
		"https://acme.eu.auth0.com/": "https://acme.eu.auth0.com/", "acme.eu.auth0.com/": "https://acme.eu.auth0.com/",
		" Acme.EU.auth0.com ": "https://acme.eu.auth0.com/", "acme.example.com:8443": "https://acme.example.com:8443/",
		"http://localhost:4000": "http://localhost:4000/", "http://127.0.0.9:1/": "http://127.0.0.9:1/",
		"http://[::1]:4000":        "http://[::1]:4000/",
		"localhost:4000":           "https://localhost:4000/",
		"http://acme.eu.auth0.com": "", "http://localhost.example.com": "", "http://127.0.0.1.example.com": "",
		"ftp://acme.auth0.com": "",
		"acme.auth0.com/path":  "", "acme.auth0.com?x": "", "acme.auth0.com#": "", "user@acme.auth0.com": "",
		"acme auth0 com": "", "": "", "https://": "",
		"acme.auth0.com:": "", "acme.auth0.com:0": "", "acme.auth0.com:65536": "", "acme\\.auth0.com": "",
		"//acme.auth0.com": "", "acmé.auth0.com": "",
		"https://https://acme.auth0.com": "", "[acme.auth0.com]": "",
	} {
		got, err := issuerOfDomain(domain)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("issuerOfDomain(%q) = %q, %v; want %q", domain, got, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	flag := func(name, text string) world { return world{flags: map[string]string{name: text}} }
	profile := func(lines string) world { return world{toml: "[profile.default]\n" + lines + "\n"} }
	const hidden = "do-not-tell"
	tests := map[string]struct {
		world
		say []string
	}{
		"plain http to another machine": {
			flag("issuer", "http://provider.example.com"), []string{"flag --issuer", "https"},
		},
		"issuer with a query":           {flag("issuer", "https://provider.example.com/?a"), []string{"--issuer"}},
		"issuer with an empty query":    {flag("issuer", "https://provider.example.com/?"), []string{"--issuer"}},
		"issuer with an empty fragment": {flag("issuer", "https://provider.example.com/#"), []string{"--issuer"}},
		"issuer with a password": {
			flag("issuer", "https://me:"+hidden+"@provider.example.com/"), []string{"--issuer"},
		},
		"issuer that is a path":    {flag("issuer", "/provider"), []string{"--issuer"}},
		"issuer that is opaque":    {flag("issuer", "https:provider.example.com"), []string{"--issuer"}},
		"issuer with a space":      {flag("issuer", "https://provider.example.com/a b"), []string{"--issuer"}},
		"issuer with a line feed":  {flag("issuer", "https://provider.example.com/\n"), []string{"--issuer"}},
		"issuer of another scheme": {flag("issuer", "file:///etc/passwd"), []string{"--issuer"}},
		"domain and issuer that differ": {
			world{flags: map[string]string{"domain": "a.auth0.com", "issuer": "https://b.example.com"}},
			[]string{"--domain", "given_twice"},
		},
		"the same in a profile": {
			profile("domain = 'a.auth0.com'\nissuer = 'https://b.example.com'"), []string{"profile default", "given_twice"},
		},
		"issuer in a profile": {
			profile("issuer = 'http://" + hidden + "'"), []string{"profile default in ", "config.toml: issuer", "https"},
		},
		"base URL elsewhere": {
			flag("base-url", "http://192.0.2.1:3000"), []string{"--base-url", "192.0.2.1"},
		},
		"base URL by name elsewhere": {
			flag("base-url", "http://localhost.example.com:3000"), []string{"--base-url"},
		},
		"base URL on https":             {flag("base-url", "https://localhost:3000"), []string{"--base-url", "http"}},
		"base URL with a path":          {flag("base-url", "http://localhost:3000/app"), []string{"--base-url"}},
		"base URL with an empty query":  {flag("base-url", "http://localhost:3000?"), []string{"--base-url"}},
		"base URL with a user":          {flag("base-url", "http://"+hidden+"@localhost:3000"), []string{"--base-url"}},
		"base URL with port 0":          {flag("base-url", "http://localhost:0"), []string{"--base-url", "port"}},
		"base URL with a port too high": {flag("base-url", "http://localhost:65536"), []string{"--base-url", "port"}},
		"base URL without its port":     {flag("base-url", "http://localhost:"), []string{"--base-url"}},
		"base URL on all addresses":     {flag("base-url", "http://0.0.0.0:3000"), []string{"--base-url"}},
		"a drawer":                      {flag("keystore", "drawer"), []string{"--keystore", "keychain"}},
		"a socket by flag":              {flag("keystore", "socket:/tmp/x"), []string{"--keystore"}},
		"a socket in the environment": {
			world{env: []string{"LOOPKEY_KEYSTORE=socket:/tmp/x"}}, []string{"LOOPKEY_KEYSTORE"},
		},
		"a socket without a path":     {profile("keystore = 'socket:'"), []string{"keystore"}},
		"profile with a path":         {flag("profile", "../../etc/passwd"), []string{"--profile"}},
		"profile with a leading dot":  {flag("profile", ".git"), []string{"--profile"}},
		"profile too long":            {flag("profile", strings.Repeat("a", 65)), []string{"--profile"}},
		"profile with a NUL":          {world{env: []string{"LOOPKEY_PROFILE=a\x00b"}}, []string{"LOOPKEY_PROFILE"}},
		"client ID with an escape":    {flag("client-id", "a\x1b[31m"), []string{"--client-id", "U+001B"}},
		"client ID that is not ASCII": {flag("client-id", "clïent"), []string{"--client-id"}},
		"audience with a line feed":   {flag("audience", "a\nb"), []string{"--audience"}},
		"scope with a quote":          {flag("scope", `openid "x"`), []string{"--scope"}},
		"scope of spaces":             {flag("scope", "  "), []string{"--scope"}},
		"a key that is none": {
			profile("domain = 'a.auth0.com'\nclient-idd = '" + hidden + "'"),
			[]string{"config.toml, line 3", `"client-idd"`, "client_id is near"},
		},
		"a key twice": {
			profile("client-id = 'a'\nclient_id = 'b'"), []string{"client_id is given twice"},
		},
		"a number for a text": {
			profile("client_id = 12345678"), []string{"line 2", "client_id must be text"},
		},
		"an array for a text": {
			profile("audience = ['" + hidden + "']"), []string{"line 2", "audience must be text"},
		},
		"a text for a truth": {
			profile("refresh_audiences = '" + hidden + "'"), []string{"refresh_audiences must be true or false"},
		},
		"a truth for a text": {profile("client_id = true"), []string{"client_id must be text"}},
		"audience parameter that is none": {
			profile("audience_parameter = '" + hidden + "'"), []string{"audience_parameter", "audience or resource"},
		},
		"a table that is no profile": {
			world{toml: "[profil.work]\nclient_secret='" + hidden + "'\n"}, []string{"line 1", "profil"},
		},
		"a value outside a profile": {
			world{toml: "client_secret = '" + hidden + "'\n"}, []string{"line 1", "client_secret"},
		},
		"a profile that is no table": {world{toml: "profile = '" + hidden + "'\n"}, []string{"line 1"}},
		"a text without quotes":      {profile("client_secret = " + hidden), []string{"line 2", "quotes"}},
		"a number that is none":      {profile("client_secret = 99999999999999999999"), []string{"line 2"}},
		"a date that is none":        {profile("client_secret = 2026-99-99"), []string{"line 2"}},
		"a profile twice": {
			world{toml: "[profile.a]\nscope='openid'\n[profiles.a]\nscope='openid'\n"}, []string{`"a"`, "twice"},
		},
		"config.toml of PowerShell": {world{toml: "\xff\xfe["}, []string{"UTF-8"}},
		"a secret and a file of it": {
			profile("client_secret = '" + hidden + "'\nclient_secret_file = 'x'"), []string{"client_secret_file", "given_twice"},
		},
		"LOOPKEY_CONFIG that is missing": {
			world{env: []string{"LOOPKEY_CONFIG=/no/such/config.toml"}}, []string{"/no/such/config.toml"},
		},
		"no home": {
			world{env: []string{private.HomeVariable() + "=", "LOOPKEY_CONFIG="}}, []string{"no_place"},
		},
		"a home that is a relative directory": {
			world{env: []string{private.HomeVariable() + "=here", "LOOPKEY_CONFIG="}}, []string{"no_place"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(test.input(t))
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%+v, %v", c, err)
			}
			for _, say := range test.say {
				if !strings.Contains(told(err), say) {
					t.Errorf("%q does not say %q", told(err), say)
				}
			}
			for _, tell := range []string{hidden, "99999999", "12345678", "2026-99", "\x1b", "\n"} {
				if strings.Contains(err.Error(), tell) {
					t.Errorf("%q tells %q", err, tell)
				}
			}
		})
	}
}

// What was meant is told, where the value may be.
func TestCorrectedValues(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ flag, text, say string }{
		"spaces around a client ID": {"client-id", " s6Bhd ", "has a space in it, and a client ID has none: it is s6Bhd"},
		"a space in a client ID":    {"client-id", "s6B\u00a0hd", ": it is s6Bhd"},
		"a line end at a client ID": {"client-id", "s6Bhd\n", ": it is s6Bhd"},
		"commas in scopes": {
			"scope", "openid, profile,email", `has commas between its scopes, where spaces belong: it is "openid profile email"`,
		},
		"a path in a domain": {"domain", "https://acme.auth0.com/login", "a domain has none: it is acme.auth0.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(world{flags: map[string]string{test.flag: test.text}}.input(t))
			if !errors.Is(err, ErrInvalid) || !strings.HasSuffix(err.Error(), test.say) {
				t.Errorf("%v", err)
			}
			toml := fmt.Sprintf("[profile.default]\n%s = %q\n", strings.ReplaceAll(test.flag, "-", "_"), test.text)
			_, err = Load(world{toml: toml}.input(t))
			if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "it is s6") {
				t.Errorf("in a profile: %v", err)
			}
		})
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	w := world{
		flags: map[string]string{"profile": "work"},
		toml: "\xef\xbb\xbf# mine\r\n[profile.default]\nclient_id = 'other'\n[profiles.work]\n" +
			"domain = 'acme.eu.auth0.com'\nclient-id = \"s6Bh\"\naudience = 'https://api'\nscope = 'openid'\n" +
			"base_url = 'http://127.0.0.1:4000/'\nkeystore = 'socket:here.sock'\naudience_parameter = 'resource'\n" +
			"refresh-audiences = false\nstate_dir = '~/state'\ncache_dir = 'cache'\n",
	}
	in := w.input(t)
	c, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	home := environ.Lookup(in.Environ, private.HomeVariable())
	if c.Profile != "work" || c.Issuer != "https://acme.eu.auth0.com/" || !c.Auth0 || c.ClientID != "s6Bh" ||
		c.Audience != "https://api" || c.Scope != "openid" ||
		c.BaseURL != "http://127.0.0.1:4000/" || c.AudienceParameter != "resource" || c.RefreshAudiences ||
		c.StateDir != filepath.Join(home, "state") || c.CacheDir != filepath.Join(home, "cache") ||
		c.Keystore != "socket:"+filepath.Join(home, "here.sock") {
		t.Errorf("%+v", c)
	}
	if got := c.Origin("profile"); got != "flag --profile" {
		t.Errorf("origin of the profile: %q", got)
	}
	if names, err := Profiles(in); err != nil || !slices.Equal(names, []string{"default", "work"}) {
		t.Errorf("Profiles: %q, %v", names, err)
	}
	if values := Values(in, "client-id"); !slices.Equal(values, []string{"other", "s6Bh"}) {
		t.Errorf("Values: %q", values)
	}
	if names, err := Profiles(world{}.input(t)); err != nil || len(names) != 0 {
		t.Errorf("Profiles of nothing: %q, %v", names, err)
	}
	w.flags["profile"] = "play" // not there, which is no error
	if c := load(t, w); c.Profile != "play" || c.ClientID != "" {
		t.Errorf("%+v", c)
	}
}

// A relative XDG folder or home would lie inside whatever directory one stands in.
func TestConfigFileIsNeverInTheWorkingDirectory(t *testing.T) {
	t.Parallel()
	for _, home := range []string{"", ".", "x"} {
		p := placesOf([]string{
			private.HomeVariable() + "=" + home,
			"XDG_CONFIG_HOME=here", "APPDATA=here", "XDG_STATE_HOME=here", "LOCALAPPDATA=here",
		})
		if p.file != "" || p.State != "" || p.Cache != "" {
			t.Errorf("home %q: %+v", home, p)
		}
	}
}

func TestDotEnvSetsNothingElse(t *testing.T) {
	t.Parallel()
	plain := load(t, world{})
	c := load(t, world{dotEnv: `SESSION_SECRET=x
LOOPKEY_PROFILE=other
LOOPKEY_KEYSTORE=file
LOOPKEY_CONFIG=/tmp/mallory.toml
LOOPKEY_PASSPHRASE=x
BROWSER=touch started
HOME=/tmp/mallory
XDG_STATE_HOME=/tmp/mallory
XDG_CONFIG_HOME=/tmp/mallory
SSL_CERT_FILE=/tmp/mallory.pem
HTTPS_PROXY=http://mallory
keystore=file
client_secret_file=/etc/passwd
refresh_audiences=true
`})
	if c.Profile != plain.Profile || c.Keystore != plain.Keystore || c.RefreshAudiences || c.secret != nil ||
		strings.Contains(c.StateDir+c.CacheDir, "mallory") {
		t.Errorf("%+v", c)
	}
	if notes := c.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "SESSION_SECRET") {
		t.Errorf("notes: %q", notes)
	}
}

const (
	ours     = "[profile.default]\ndomain = 'acme.auth0.com'\nclient_id = 'ours'\nclient_secret = 'of the profile'\n"
	stranger = "AUTH0_DOMAIN=mallory.example.com\nAUTH0_CLIENT_ID=mallory\n"
)

func TestAClientSecretGoesWhereItsClientComesFrom(t *testing.T) {
	t.Parallel()
	env := []string{"LOOPKEY_CLIENT_SECRET=of the environment"}
	tests := map[string]struct {
		world
		want string // "refused": Load says no
	}{
		"environment, all else too": {
			world{env: append([]string{"AUTH0_DOMAIN=acme.auth0.com", "AUTH0_CLIENT_ID=ours"}, env...)}, "of the environment",
		},
		"environment, client of the profile": {world{env: env, toml: ours}, "of the environment"},
		"environment before the Auth0 name": {
			world{env: append([]string{"AUTH0_CLIENT_SECRET=second"}, env...), toml: ours}, "of the environment",
		},
		"environment, all else in ./.env": {world{env: env, dotEnv: stranger}, "refused"},
		"environment, issuer in ./.env": {
			world{env: append([]string{"AUTH0_CLIENT_ID=ours"}, env...), dotEnv: stranger}, "refused",
		},
		"environment, client in ./.env": {
			world{env: append([]string{"AUTH0_DOMAIN=acme.auth0.com"}, env...), dotEnv: stranger}, "refused",
		},
		"environment, ./.env over the profile": {world{env: env, dotEnv: stranger, toml: ours}, "refused"},
		"environment, ./.env names the profile's": {
			world{env: env, dotEnv: "AUTH0_DOMAIN=acme.auth0.com\nAUTH0_CLIENT_ID=ours\n", toml: ours}, "of the environment",
		},
		"environment, ./.env names other things": {
			world{env: append([]string{"AUTH0_DOMAIN=acme.auth0.com", "AUTH0_CLIENT_ID=ours"}, env...), dotEnv: stranger},
			"of the environment",
		},
		"profile": {world{toml: ours}, "of the profile"},
		"profile, issuer in ./.env": {
			world{toml: ours, dotEnv: "LOOPKEY_ISSUER=https://mallory.example.com/\n"}, "",
		},
		"profile, client in ./.env": {world{toml: ours, dotEnv: "AUTH0_CLIENT_ID=mallory\n"}, ""},
		"profile, the same in ./.env": {
			world{toml: ours, dotEnv: "AUTH0_DOMAIN=https://acme.auth0.com\nLOOPKEY_CLIENT_ID=ours\n"}, "of the profile",
		},
		"profile, issuer by flag": {
			world{toml: ours, flags: map[string]string{"issuer": "https://other.example.com"}}, "",
		},
		"profile, client by flag": {
			world{toml: ours, flags: map[string]string{"client-id": "other"}}, "",
		},
		"profile without a client": {
			world{toml: "[profile.default]\nclient_secret='of the profile'",
				env: []string{"AUTH0_DOMAIN=acme.auth0.com", "AUTH0_CLIENT_ID=ours"}},
			"of the profile",
		},
		"profile without a client, ./.env names one": {
			world{toml: "[profile.default]\nclient_secret='of the profile'", dotEnv: stranger}, "",
		},
		"profile without an issuer, ./.env names one": {
			world{toml: "[profile.default]\nclient_id='ours'\nclient_secret='of the profile'", dotEnv: stranger,
				flags: map[string]string{"client-id": "ours"}},
			"",
		},
		"./.env": {world{dotEnv: stranger + "AUTH0_CLIENT_SECRET='of $file'\n"}, "of $file"},
		"./.env, client by flag": {
			world{dotEnv: stranger + "AUTH0_CLIENT_SECRET=x\n", flags: map[string]string{"client-id": "other"}}, "",
		},
		"./.env, client and issuer of the profile win": {
			world{dotEnv: stranger + "AUTH0_CLIENT_SECRET=x\n", toml: ours,
				flags: map[string]string{"client-id": "ours", "domain": "acme.auth0.com"}},
			"of the profile",
		},
		"none": {world{env: []string{"AUTH0_CLIENT_SECRET="}}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(test.input(t))
			if test.want == "refused" {
				if err == nil {
					_, err = c.ClientSecret()
				}
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "./.env") ||
					strings.Contains(err.Error(), "of the environment") {
					t.Fatalf("%+v, %v", c, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.ClientSecret(); err != nil || got != test.want {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestClientSecretFile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ content, want string }{
		"a line": {
			"s3cr$et+/\n",
			"s3cr$et+/"}, "a line of Windows": {"\xef\xbb\xbfsecret\r\n",
			"secret"}, "no line end": {"secret",
			"secret",
		},
		"several lines": {
			"one\ntwo\n", ""}, "nothing": {"\n", ""}, "a NUL": {"a\x00b", ""}, "too large": {strings.Repeat("a", 64<<10+1), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "secret")
			write(t, path, test.content)
			c := load(t, world{flags: map[string]string{"client-secret-file": path},
				env: []string{"LOOPKEY_CLIENT_SECRET=other"}})
			if got := c.Origin("client-secret-file"); got != "flag --client-secret-file" {
				t.Errorf("origin %q", got)
			}
			for range 2 {
				got, err := c.ClientSecret()
				if got != test.want || (err == nil) != (test.want != "") {
					t.Errorf("%q, %v; want %q", got, err, test.want)
				}
				if err != nil && (!errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "two")) {
					t.Error(err)
				}
			}
		})
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing"), os.DevNull} {
		c := load(t, world{flags: map[string]string{"client-secret-file": path}})
		if got, err := c.ClientSecret(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), " "+path+": ") {
			t.Errorf("%s: %q, %v", path, got, err)
		}
		c = load(t, world{toml: fmt.Sprintf("[profile.default]\nclient_secret_file = %q\n", path)})
		if got, err := c.ClientSecret(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), " "+path+": ") {
			t.Errorf("%s in a profile: %q, %v", path, got, err)
		}
	}
}

// told returns the text of an error, and its reason.
func told(err error) string {
	text := fmt.Sprint(err)
	if e := new(ReasonedError); errors.As(err, &e) {
		text += " " + string(e.Reason) + " " + e.About
	}
	return text
}

func TestConfigFileThatOthersRead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps no such mode")
	}
	in := world{toml: ours + "[profile.work]\nclient_id = 'x'\n"}.input(t)
	path := environ.Lookup(in.Environ, "LOOPKEY_CONFIG")
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o620: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(in)
		if refused != errors.Is(err, ErrInvalid) || refused && !strings.Contains(told(err), "readable_file "+path) {
			t.Errorf("%o: %v", mode, err)
		}
	}
	in.Flags = map[string]string{"profile": "work"} // has no secret
	if _, err := Load(in); err != nil {
		t.Error(err)
	}
}

// Who can write the profiles decides whom a session is told to.
func TestConfigFileThatOthersWrite(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps no such mode")
	}
	in := world{toml: "[profile.default]\nclient_id = 'x'\n"}.input(t)
	path := environ.Lookup(in.Environ, "LOOPKEY_CONFIG")
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o644: false, 0o664: false, 0o666: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(in)
		if refused != errors.Is(err, ErrInvalid) || refused && !strings.Contains(told(err), "writable_file "+path) {
			t.Errorf("%o: %v", mode, err)
		}
		if _, err := Profiles(in); refused != (err != nil) {
			t.Errorf("the names, %o: %v", mode, err)
		}
	}
	in.Environ = append(in.Environ, "LOOPKEY_CONFIG="+os.DevNull) // which everybody can write
	if _, err := Load(in); err != nil {
		t.Error(err)
	}
}

func TestTheSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	c := load(t, world{toml: ours, dotEnv: "SESSION_SECRET=x\n"})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, c) + fmt.Sprintf(verb, *c); strings.Contains(text, "of the profile") {
			t.Errorf("%s prints it", verb)
		}
	}
}

func TestRemember(t *testing.T) {
	t.Parallel()
	noIssuer := "[profile.default]\nclient_id = 'ours'\nclient_secret = 'of the profile'\n"
	for name, test := range map[string]struct {
		world
		issuer, client, secret string
	}{
		"the same client, and no issuer is configured": {
			world{toml: noIssuer}, "https://acme.auth0.com/", "ours", "of the profile",
		},
		"another client":  {world{toml: noIssuer}, "https://acme.auth0.com/", "theirs", ""},
		"another issuer":  {world{toml: ours}, "https://other.example.com/", "ours", ""},
		"nothing is said": {world{env: []string{"LOOPKEY_CLIENT_SECRET=x"}}, "https://acme.auth0.com/", "ours", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, test.world)
			c.Remember(known.Client{
				Issuer: test.issuer, ClientID: test.client, Auth0: true,
				AudienceParameter: "audience", Keystore: "file", BaseURL: "http://localhost:4000",
			})
			if c.Issuer != test.issuer || c.ClientID != test.client || !c.Auth0 || !c.RefreshAudiences ||
				c.Keystore != "file" || c.BaseURL != "http://localhost:4000" || c.Origin("issuer") != "the last login" {
				t.Errorf("%+v", c)
			}
			if got, err := c.ClientSecret(); err != nil || got != test.secret {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func FuzzTOML(f *testing.F) {
	for _, seed := range []string{ours, "[profiles.a]\nx=1", "profile.a.client_id='x'", "profile={a={}}", "[[profile]]",
		"[profile.a]\nclient_id=x", "\xef\xbb\xbf", "a=99999999999999999999"} {
		f.Add([]byte(seed))
	}
	home := f.TempDir()
	path := filepath.Join(home, "config.toml")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Input{Environ: []string{private.HomeVariable() + "=" + home, "LOOPKEY_CONFIG=" + path}})
		control := func(r rune) bool { return r < ' ' || r == 0x7f }
		if err != nil && (!errors.Is(err, ErrInvalid) || strings.ContainsFunc(err.Error(), control)) {
			t.Errorf("%q", err)
		}
	})
}

func FuzzDomain(f *testing.F) {
	for _, seed := range []string{
		"acme.auth0.com", "http://localhost:1", "http://[::1]/", "https://a@b", "a:b",
		"http://127.0.0.1.x", "HTTP://LOCALHOST",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, domain string) {
		issuer, err := issuerOfDomain(domain)
		if err != nil {
			return
		}
		if err := checkIssuer(issuer); err != nil {
			t.Errorf("%q became %q: %v", domain, issuer, err)
		}
		if again, err := issuerOfDomain(issuer); err != nil || again != issuer {
			t.Errorf("%q became %q, and that %q, %v", domain, issuer, again, err)
		}
		if !strings.HasPrefix(issuer, "https://") && !strings.HasPrefix(issuer, "http://localhost") &&
			!strings.HasPrefix(issuer, "http://127.") && !strings.HasPrefix(issuer, "http://[") {
			t.Errorf("%q became %q", domain, issuer)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	for name, w := range map[string]world{
		"environment": {env: []string{"AUTH0_DOMAIN=acme.auth0.com", "AUTH0_CLIENT_ID=ours"}},
		"dotenv": {
			dotEnv: "AUTH0_DOMAIN=acme.auth0.com\nAUTH0_CLIENT_ID=ours\nAUTH0_CLIENT_SECRET=x\nSESSION_SECRET=y\n" +
				"APP_BASE_URL=http://localhost:3000\n",
		},
		"profile":              {toml: ours},
		"dotenv-and-a-profile": {dotEnv: stranger, toml: ours},
	} {
		b.Run(name, func(b *testing.B) {
			in := w.input(b)
			for i := range 60 { // as many as a person's environment has
				in.Environ = append(in.Environ, fmt.Sprintf("VARIABLE_%d=some value or other", i))
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
