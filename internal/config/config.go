// Package config makes one Config of flags, environment, ./.env and a profile of
// config.toml. The first that sets a value wins, an empty value counts as not set,
// and each value remembers where it is from.
//
// What comes in, comes in through Input: the package asks the process for nothing
// but the content of files.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
)

// ErrInvalid says that the configuration can't be used as it is. The error names the
// value, where it is from, and what to do. It never repeats what a file holds.
var ErrInvalid = errors.New("configuration")

// Input is the outside world, as it is given.
type Input struct {
	Flags   map[string]string // by name, only those that were set
	Environ []string          // as os.Environ returns it
	Dir     string            // holds the .env; "" reads none
}

// Config is what a command works with.
type Config struct {
	known.Client     // an Issuer or a ClientID of "": none is configured
	Audience, Scope  string
	RefreshAudiences bool // one refresh token may get tokens for audiences that the login did not name
	StateDir         string
	CacheDir         string

	secret func() (string, error) // nil: none; a func, because fmt would print an unexported string
	values map[string]value       // what was set, by name
	notes  []string
}

// The variables that set a value, the first of them first.
func variablesOf(name string) []string {
	switch name {
	case "domain":
		return []string{"AUTH0_DOMAIN"}
	case "issuer":
		return []string{"LOOPKEY_ISSUER"}
	case "client-id":
		return []string{"LOOPKEY_CLIENT_ID", "AUTH0_CLIENT_ID"}
	case "client-secret":
		return []string{"LOOPKEY_CLIENT_SECRET", "AUTH0_CLIENT_SECRET"}
	case "audience":
		return []string{"LOOPKEY_AUDIENCE", "AUTH0_AUDIENCE"}
	case "scope":
		return []string{"LOOPKEY_SCOPE"}
	case "base-url":
		return []string{"APP_BASE_URL"}
	case "profile":
		return []string{"LOOPKEY_PROFILE"}
	case "keystore":
		return []string{"LOOPKEY_KEYSTORE"}
	}
	return nil
}

var (
	// inDotEnv is all that ./.env may set: it comes with whatever directory one stands in.
	inDotEnv = []string{"domain", "issuer", "client-id", "client-secret", "audience", "scope", "base-url"}
	// inEnvironment is that, and what only the person may choose.
	inEnvironment = []string{"domain", "issuer", "client-id", "client-secret", "audience", "scope", "base-url", "profile", "keystore"}
)

type source int

const (
	fromNowhere source = iota
	fromFlag
	fromEnvironment
	fromDotEnv
	fromProfile
	fromSession // of before
)

// A value is what one source says.
type value struct {
	text   string
	from   source
	origin string // the source, named for a person
	key    string // of a profile
}

// refuse says what is wrong with a value and where it stands. It shows the value
// only where the person typed it, and not where it may hold a password.
func (v value) refuse(format string, args ...any) error {
	place, it := v.origin, "it"
	if v.from == fromProfile {
		place += ": " + v.key
	}
	if (v.from == fromFlag || v.from == fromEnvironment) && !strings.Contains(v.text, "@") {
		it = strconv.Quote(words.Printable(v.text))
	}
	return fmt.Errorf("%w: %s: %s %w", ErrInvalid, place, it, fmt.Errorf(format, args...))
}

// A layer holds the values of one source by their names.
type layer map[string]value

func (l layer) set(name string, v value) {
	if v.text != "" && l[name].text == "" {
		l[name] = v
	}
}

// Load reads the configuration. An issuer or a client ID that is missing is no error
// here: Complete says that. Its errors wrap ErrInvalid.
func Load(in Input) (*Config, error) {
	flags, variables := layer{}, layer{}
	for name, text := range in.Flags {
		flags.set(name, value{text: text, from: fromFlag, origin: "flag --" + name})
	}
	for _, name := range inEnvironment {
		for _, key := range variablesOf(name) {
			variables.set(name, value{text: environ.Lookup(in.Environ, key), from: fromEnvironment, origin: key + " in the environment"})
		}
	}
	c := &Config{values: map[string]value{}}
	c.Profile = c.first("profile", "default", flags, variables)
	if !validProfile(c.Profile) {
		return nil, c.values["profile"].refuse("is no name of a profile: letters, digits, dot, dash and underscore, 64 at most, and no device of Windows")
	}
	file, err := readDotEnv(in.Dir, c)
	if err != nil {
		return nil, err
	}
	places := placesOf(in.Environ)
	profile, err := readProfile(places, c.Profile)
	if err != nil {
		return nil, err
	}
	layers := []layer{flags, variables, file, profile}
	if err := c.issuer(layers); err != nil {
		return nil, err
	}
	c.ClientID = c.first("client-id", "", layers...)
	c.Audience = c.first("audience", "", layers...)
	c.Scope = c.first("scope", "openid profile email offline_access", layers...)
	c.BaseURL = c.first("base-url", "http://localhost:3000", layers...)
	c.Keystore = c.first("keystore", "keychain", layers...)
	c.AudienceParameter = c.first("audience-parameter", "", profile)
	c.RefreshAudiences = c.first("refresh-audiences", strconv.FormatBool(c.Auth0), profile) == "true"
	c.StateDir = c.first("state-dir", places.State, profile)
	c.CacheDir = c.first("cache-dir", places.Cache, profile)
	if c.StateDir == "" || c.CacheDir == "" {
		return nil, fmt.Errorf("%w: loopkey has no place for its files: set %s", ErrInvalid, private.HomeVariable())
	}
	if err := c.clientSecret(flags, variables, file, profile); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// first returns the value of the first layer that has one.
func (c *Config) first(name, otherwise string, layers ...layer) string {
	for _, l := range layers {
		if v, ok := l[name]; ok {
			c.values[name] = v
			return v.text
		}
	}
	return otherwise
}

// check refuses values that nothing could be done with.
func (c *Config) check() error {
	for _, name := range []string{"client-id", "audience", "scope"} {
		for _, r := range c.values[name].text {
			// RFC 6749, appendix A: a client ID is printable ASCII, a scope lacks " and \ too.
			if r < ' ' || r == 0x7f || r > 0x7f && (name != "audience" || !strconv.IsPrint(r)) || name == "scope" && (r == '"' || r == '\\') {
				return c.values[name].refuse("holds the character %#U, which no %s has", r, strings.ReplaceAll(name, "-id", " ID"))
			}
		}
	}
	c.Scope = strings.Join(strings.Fields(c.Scope), " ")
	if c.Scope == "" {
		return c.values["scope"].refuse("holds no scope")
	}
	if err := checkBaseURL(c.BaseURL); err != nil {
		return c.values["base-url"].refuse("%w", err)
	}
	switch kind, path, _ := strings.Cut(c.Keystore, ":"); {
	case c.Keystore == "keychain", c.Keystore == "file":
	case kind == "socket" && path != "" && c.values["keystore"].from == fromProfile:
	default:
		return c.values["keystore"].refuse("is no keystore: there are keychain and file")
	}
	if !slices.Contains([]string{"", "audience", "resource"}, c.AudienceParameter) {
		return c.values["audience-parameter"].refuse("must be audience or resource")
	}
	return nil
}

// checkBaseURL: the local server speaks plain http and listens on the loopback alone (RFC 8252, section 7.3).
func checkBaseURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" || u.User != nil || u.Path != "" && u.Path != "/" || strings.ContainsAny(text, "?#"):
		return errors.New("must be http, a loopback host and a port, such as http://localhost:3000")
	case !slices.Contains([]string{"localhost", "127.0.0.1", "[::1]"}, strings.TrimSuffix(u.Host, ":"+u.Port())):
		return errors.New("is not on this machine: the host must be localhost, 127.0.0.1 or [::1]")
	case !validPort(u):
		return errors.New("has no usable port: 1 to 65535")
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

// CompleteForLogin is Complete, and asks for openid among the scopes: without it no
// ID token comes, and nobody is logged in. A token of a session may do without.
func (c *Config) CompleteForLogin() error {
	if err := c.Complete(); err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(c.Scope), "openid") {
		return c.values["scope"].refuse("lacks openid: without that scope there is no login")
	}
	return nil
}

// Remember points the configuration at the client of an earlier login. A client secret stays with the client that it
// was configured for.
func (c *Config) Remember(earlier known.Client) {
	if c.ClientID != earlier.ClientID || c.Issuer != "" && c.Issuer != earlier.Issuer {
		c.secret = nil
		delete(c.values, "client-secret")
	}
	c.Issuer, c.ClientID, c.Auth0 = earlier.Issuer, earlier.ClientID, earlier.Auth0
	c.values["issuer"] = value{text: c.Issuer, from: fromSession, origin: "the last login"}
	c.values["client-id"] = value{text: c.ClientID, from: fromSession, origin: "the last login"}
	c.AudienceParameter = cmp.Or(c.AudienceParameter, earlier.AudienceParameter)
	if c.values["refresh-audiences"].from == fromNowhere {
		c.RefreshAudiences = c.Auth0
	}
	if c.values["keystore"].from == fromNowhere && earlier.Keystore != "" {
		c.Keystore = earlier.Keystore
	}
	if c.values["base-url"].from == fromNowhere && earlier.BaseURL != "" {
		c.BaseURL = earlier.BaseURL
	}
}

// Origin names the source of a value, by the name of its flag: "flag --domain",
// "AUTH0_DOMAIN in the environment", "AUTH0_DOMAIN in ./.env", "profile work in PATH",
// "the last login", or "default" where nobody set it. The domain is the issuer.
func (c *Config) Origin(name string) string {
	if name == "domain" {
		name = "issuer"
	}
	if name == "client-secret-file" {
		name = "client-secret"
	}
	return cmp.Or(c.values[name].origin, "default")
}

// FromDotEnv reports whether ./.env set a value, which is not trusted like the rest.
func (c *Config) FromDotEnv(name string) bool { return c.values[name].from == fromDotEnv }

// Notes are worth telling the person once.
func (c *Config) Notes() []string { return c.notes }

// validProfile keeps names to what is a file name everywhere: [A-Za-z0-9][A-Za-z0-9._-]{0,63},
// and no device of Windows, which it finds whatever stands after a dot.
func validProfile(name string) bool {
	if len(name) > 64 || private.IsDevice(name) {
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
