// Package config makes one Config of flags, environment, ./.env and a profile of
// config.toml. The first that sets a value wins, and each value remembers where it
// is from.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrInvalid: the configuration can't be used as it is. The error says which value, from where, and what to do.
var ErrInvalid = errors.New("configuration")

// Input is the outside world, as it is given.
type Input struct {
	Flags   map[string]string // by name, only those that were set
	Environ []string
	Dir     string // holds the .env; "" reads none
}

// Config is what a command works with.
type Config struct {
	Profile           string
	Issuer            string // "": none is configured
	Auth0             bool
	ClientID          string
	Audience, Scope   string
	BaseURL           string // as configured, without a slash at its end unless one was given
	Keystore          string // keychain, file, or socket:PATH
	AudienceParameter string // audience or resource; "": by provider
	RefreshAudiences  bool   // one refresh token may get tokens for audiences that the login did not name
	StateDir          string
	CacheDir          string

	secret  *string // a pointer, because fmt prints unexported fields
	file    string  // of the client secret
	origins map[string]string
	notes   []string
}

// The values that can be configured, by the names of their flags.
var (
	environment = map[string][]string{
		"domain": {"AUTH0_DOMAIN"}, "issuer": {"LOOPKEY_ISSUER"}, "client-id": {"LOOPKEY_CLIENT_ID", "AUTH0_CLIENT_ID"},
		"client-secret": {"LOOPKEY_CLIENT_SECRET", "AUTH0_CLIENT_SECRET"}, "audience": {"LOOPKEY_AUDIENCE", "AUTH0_AUDIENCE"},
		"scope": {"LOOPKEY_SCOPE"}, "base-url": {"APP_BASE_URL"}, "profile": {"LOOPKEY_PROFILE"}, "keystore": {"LOOPKEY_KEYSTORE"},
	}
	// dotEnv may set these and nothing else: it comes with whatever directory one stands in.
	dotEnv = []string{"domain", "issuer", "client-id", "client-secret", "audience", "scope", "base-url"}
)

// A layer holds the values of one source.
type layer struct {
	values  map[string]string
	origins map[string]string // how to name the source of each
}

func (l *layer) set(name, value, origin string) {
	if value == "" || l.values[name] != "" {
		return
	}
	if l.values == nil {
		l.values, l.origins = map[string]string{}, map[string]string{}
	}
	l.values[name], l.origins[name] = value, origin
}

// Load reads the configuration. An issuer or a client ID that is missing is no error here: Complete says that.
func Load(in Input) (*Config, error) {
	env := func(name string) string { return variable(in.Environ, name) }
	var flags, variables layer
	for name, value := range in.Flags {
		flags.set(name, value, "flag --"+name)
	}
	for name, keys := range environment {
		for _, key := range keys {
			variables.set(name, env(key), key+" in the environment")
		}
	}
	c := &Config{origins: map[string]string{}}
	c.Profile = cmp.Or(flags.values["profile"], variables.values["profile"], "default")
	if !validProfile(c.Profile) {
		return nil, fmt.Errorf("%w: profile %q: a name has letters, digits, dot, dash and underscore, 64 at most", ErrInvalid, c.Profile)
	}
	file, err := readDotEnv(in.Dir, c)
	if err != nil {
		return nil, err
	}
	dirs, err := places(env)
	if err != nil {
		return nil, err
	}
	profile, err := readProfile(cmp.Or(env("LOOPKEY_CONFIG"), filepath.Join(dirs.config, "config.toml")), c.Profile, env("LOOPKEY_CONFIG") != "", dirs.home)
	if err != nil {
		return nil, err
	}
	layers := []layer{flags, variables, file, profile}
	get := func(name, otherwise string) string {
		for _, l := range layers {
			if value := l.values[name]; value != "" {
				c.origins[name] = l.origins[name]
				return value
			}
		}
		c.origins[name] = "default"
		return otherwise
	}
	if err := c.issuer(layers); err != nil {
		return nil, err
	}
	c.ClientID = get("client-id", "")
	c.Audience = get("audience", "")
	c.Scope = get("scope", "openid profile email offline_access")
	c.BaseURL = get("base-url", "http://localhost:3000")
	c.Keystore = get("keystore", "keychain")
	c.AudienceParameter = get("audience-parameter", "")
	c.RefreshAudiences = get("refresh-audiences", fmt.Sprint(c.Auth0)) == "true"
	c.StateDir = get("state-dir", dirs.state)
	c.CacheDir = get("cache-dir", dirs.cache)
	if err := c.clientSecret(flags, variables, file, profile); err != nil {
		return nil, err
	}
	return c, c.check()
}

// issuer is one value with two names: the highest layer that sets either decides.
func (c *Config) issuer(layers []layer) error {
	for i, l := range layers {
		domain, issuer := l.values["domain"], l.values["issuer"]
		if domain == "" && issuer == "" {
			continue
		}
		if issuer != "" {
			if err := checkIssuer(issuer); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrInvalid, l.origins["issuer"], err)
			}
			c.Issuer, c.origins["issuer"] = issuer, l.origins["issuer"]
			u, _ := url.Parse(issuer) // it was checked
			c.Auth0 = strings.HasSuffix(strings.ToLower(u.Hostname()), ".auth0.com")
		}
		if domain == "" || issuer != "" && i != 0 && i != len(layers)-1 { // LOOPKEY_ISSUER goes before AUTH0_DOMAIN
			return nil
		}
		fromDomain, err := IssuerOfDomain(domain)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalid, l.origins["domain"], err)
		}
		if issuer != "" && issuer != fromDomain {
			return fmt.Errorf("%w: %s and %s name two issuers: give one", ErrInvalid, l.origins["domain"], l.origins["issuer"])
		}
		c.Issuer, c.Auth0, c.origins["issuer"] = fromDomain, true, l.origins["domain"]
		return nil
	}
	c.origins["issuer"] = "default"
	return nil
}

// IssuerOfDomain returns the issuer of an Auth0 tenant, whose domain may be written with https:// and a slash.
func IssuerOfDomain(domain string) (string, error) {
	text := strings.TrimSpace(domain)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || strings.ContainsAny(u.Host, " \\%") {
		return "", fmt.Errorf("%q is no domain, such as acme.eu.auth0.com", printable(domain))
	}
	issuer := u.Scheme + "://" + u.Host + "/"
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("%q is no domain, such as acme.eu.auth0.com", printable(domain))
	}
	return issuer, checkIssuer(issuer)
}

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("%q is no issuer, such as https://acme.eu.auth0.com/", printable(issuer))
	case u.Scheme == "https", u.Scheme == "http" && loopbackHost(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q must be https (http is for loopback hosts alone)", printable(issuer))
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// clientSecret finds the secret, which belongs to one client: one of the
// environment is not sent to an issuer or as a client that ./.env names, for that
// may be a stranger's, and one of the profile is used for the profile's client alone.
func (c *Config) clientSecret(flags, variables, file, profile layer) error {
	use := func(l layer) {
		if value := l.values["client-secret"]; value != "" {
			c.secret = &value
		} else {
			c.file = l.values["client-secret-file"]
		}
		c.origins["client-secret"] = cmp.Or(l.origins["client-secret"], l.origins["client-secret-file"])
	}
	stranger := c.origins["issuer"] == dotEnvOrigin || c.origins["client-id"] == dotEnvOrigin
	switch {
	case flags.values["client-secret-file"] != "":
		use(flags)
	case variables.values["client-secret"] != "":
		if stranger {
			return fmt.Errorf("%w: %s is not sent to an issuer or as a client that ./.env names: set the issuer and the client ID in the environment too",
				ErrInvalid, variables.origins["client-secret"])
		}
		use(variables)
	case file.values["client-secret"] != "":
		// It belongs to the client that the file names.
		if c.origins["client-id"] == dotEnvOrigin || file.values["client-id"] == "" || file.values["client-id"] == c.ClientID {
			use(file)
		}
	case profile.values["client-secret"] != "" || profile.values["client-secret-file"] != "":
		own := profile.values["client-id"] == c.ClientID
		if issuer := profile.values["issuer"]; issuer != "" {
			own = own && issuer == c.Issuer
		} else if issuer, err := IssuerOfDomain(profile.values["domain"]); err == nil {
			own = own && issuer == c.Issuer
		} else {
			own = own && !stranger
		}
		if own {
			use(profile)
		}
	}
	return nil
}

const mostSecret = 64 << 10

// ClientSecret returns the client secret, or "" for a public client. A file is read only now.
func (c *Config) ClientSecret() (string, error) {
	if c.secret != nil {
		return *c.secret, nil
	}
	if c.file == "" {
		return "", nil
	}
	content, err := readLimited(c.file, mostSecret)
	if err != nil {
		return "", fmt.Errorf("%w: %s: the client secret can't be read: %w", ErrInvalid, c.Origin("client-secret"), err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%w: %s: the file must hold the client secret alone, on one line", ErrInvalid, c.Origin("client-secret"))
	}
	return secret, nil
}

// check refuses values that nothing could be done with.
func (c *Config) check() error {
	for name, value := range map[string]string{"client-id": c.ClientID, "audience": c.Audience, "scope": c.Scope} {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || name == "scope" && r > '~' }) {
			return fmt.Errorf("%w: %s: the %s holds characters that none has", ErrInvalid, c.Origin(name), name)
		}
	}
	if !contains(strings.Fields(c.Scope), "openid") {
		return fmt.Errorf("%w: %s: openid must be among the scopes: without it there is no login", ErrInvalid, c.Origin("scope"))
	}
	c.Scope = strings.Join(strings.Fields(c.Scope), " ")
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		return fmt.Errorf("%w: %s: base URL %q must be http://localhost and a port, such as http://localhost:3000", ErrInvalid, c.Origin("base-url"), printable(c.BaseURL))
	case !contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return fmt.Errorf("%w: %s: base URL %q: the local server is on localhost, 127.0.0.1 or [::1] alone", ErrInvalid, c.Origin("base-url"), printable(c.BaseURL))
	}
	switch kind, path, _ := strings.Cut(c.Keystore, ":"); {
	case c.Keystore == "keychain", c.Keystore == "file":
	case kind == "socket" && path != "" && strings.HasPrefix(c.Origin("keystore"), "profile "):
	default:
		return fmt.Errorf("%w: %s: keystore %q: it is keychain or file", ErrInvalid, c.Origin("keystore"), printable(c.Keystore))
	}
	if !contains([]string{"", "audience", "resource"}, c.AudienceParameter) {
		return fmt.Errorf("%w: %s: audience_parameter is audience or resource", ErrInvalid, c.Origin("audience-parameter"))
	}
	return nil
}

// Complete reports what is still missing for a login, and how to give it.
func (c *Config) Complete() error {
	const how = "give %s as a flag, in the environment, in ./.env or in a profile of config.toml, such as loopkey login --domain acme.eu.auth0.com --client-id s6BhdRkqt3"
	switch {
	case c.Issuer == "":
		return fmt.Errorf("%w: no issuer is configured: "+how, ErrInvalid, "--domain or --issuer")
	case c.ClientID == "":
		return fmt.Errorf("%w: no client ID is configured: "+how, ErrInvalid, "--client-id")
	}
	return nil
}

// Remember points the configuration at a session of before, whose client was public or is in the profile.
func (c *Config) Remember(issuer, clientID string, auth0 bool, audienceParameter, keystore, baseURL string) {
	if c.Issuer != issuer || c.ClientID != clientID {
		c.secret, c.file = nil, ""
	}
	c.Issuer, c.ClientID, c.Auth0 = issuer, clientID, auth0
	c.origins["issuer"], c.origins["client-id"] = "the last login", "the last login"
	c.AudienceParameter = cmp.Or(c.AudienceParameter, audienceParameter)
	if c.origins["refresh-audiences"] == "default" {
		c.RefreshAudiences = auth0
	}
	if c.origins["keystore"] == "default" && keystore != "" {
		c.Keystore = keystore
	}
	if c.origins["base-url"] == "default" && baseURL != "" {
		c.BaseURL = baseURL
	}
}

// Origin names the source of a value, by the name of its flag: "default" where nobody set it.
func (c *Config) Origin(name string) string { return cmp.Or(c.origins[name], "default") }

// Notes are worth telling the person once.
func (c *Config) Notes() []string { return c.notes }

// places are loopkey's folders.
type folders struct{ home, config, cache, state string }

func places(env func(string) string) (folders, error) {
	home := env("HOME")
	if runtime.GOOS == "windows" {
		home = env("USERPROFILE")
	}
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	var f folders
	f.home = home
	switch runtime.GOOS {
	case "windows":
		local := cmp.Or(env("LocalAppData"), env("LOCALAPPDATA"), filepath.Join(home, "AppData", "Local"))
		f.config = cmp.Or(env("AppData"), env("APPDATA"), filepath.Join(home, "AppData", "Roaming"))
		f.cache, f.state = filepath.Join(local, "loopkey", "cache"), filepath.Join(local, "loopkey")
		f.config = filepath.Join(f.config, "loopkey")
	case "darwin":
		f.config = filepath.Join(home, "Library", "Application Support", "loopkey")
		f.cache, f.state = filepath.Join(home, "Library", "Caches", "loopkey"), filepath.Join(f.config, "state")
	default:
		f.config = filepath.Join(absolute(env("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "loopkey")
		f.cache = filepath.Join(absolute(env("XDG_CACHE_HOME"), filepath.Join(home, ".cache")), "loopkey")
		f.state = filepath.Join(absolute(env("XDG_STATE_HOME"), filepath.Join(home, ".local", "state")), "loopkey")
	}
	if home == "" && !filepath.IsAbs(f.state) {
		return f, fmt.Errorf("%w: HOME is not set: loopkey has no place for its files", ErrInvalid)
	}
	return f, nil
}

// absolute: the XDG specification says to ignore a path that is relative.
func absolute(path, otherwise string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return otherwise
}

// Environ is the environment for a command that loopkey runs, without loopkey's own secrets.
func Environ(environ []string) []string {
	var kept []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if !contains([]string{"LOOPKEY_CLIENT_SECRET", "AUTH0_CLIENT_SECRET", "LOOPKEY_PASSPHRASE"}, strings.ToUpper(name)) {
			kept = append(kept, pair)
		}
	}
	return kept
}

// variable returns the last value that an environment gives to a name.
func variable(environ []string, name string) string {
	value := ""
	for _, pair := range environ {
		if key, v, ok := strings.Cut(pair, "="); ok && key == name {
			value = v
		}
	}
	return value
}

func validProfile(name string) bool {
	if len(name) > 64 {
		return false
	}
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '.' && r != '_' && r != '-') {
			return false
		}
	}
	return name != ""
}

func contains(list []string, value string) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}

// printable keeps control characters of a value out of a message.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s[:min(len(s), 200)])
}
