// Package config makes one Config of the flags, the environment, ./.env and a profile of config.toml. The first of
// these sources that sets a value wins. An empty value counts as not set. Config knows which source each value came
// from.
//
// The package takes the flags and the environment from Input. It asks the process for nothing but the content of files.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
)

// ErrInvalid says that the configuration can't be used as it is. The errors that wrap it name the value, its source and
// what to do. They never repeat what a file holds.
var ErrInvalid = errors.New("configuration")

// Input is what Load reads.
type Input struct {
	Flags   map[string]string // by name, only those that were set
	Params  []string          // of the flag --param: name=value
	Environ []string          // as os.Environ returns it
	Dir     string            // the folder of the .env; "": none is read
}

// Config is the configuration of one command.
type Config struct {
	known.Client     // Issuer and ClientID are "" where none is configured
	Audience, Scope  string
	Params           url.Values // further authorization parameters; none that a login sets itself
	RefreshAudiences bool       // the refresh token may be used for audiences that the login did not name
	StateDir         string
	CacheDir         string

	secret func() (string, error) // nil: none; a func, because fmt would print an unexported string
	values map[string]value       // by the name of the setting; those that a source set
	notes  []string
}

// Load reads the configuration. Its errors wrap ErrInvalid. A missing issuer or client ID is no error of Load: Complete
// reports it.
func Load(in Input) (*Config, error) {
	c := &Config{values: map[string]value{}}
	flags, variables := layerOfFlags(in.Flags), layerOfEnvironment(in.Environ)
	profileName := settingNamed("profile") // comes first, for the profile is a source of the other settings
	c.choose(profileName, flags, variables)
	if err := c.check(profileName); err != nil {
		return nil, err
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
	if c.Params, err = paramsOf(in.Params, profile); err != nil {
		return nil, err
	}
	layers := []layer{flags, variables, file, profile}
	if err := c.issuer(layers); err != nil {
		return nil, err
	}
	c.RefreshAudiences, c.StateDir, c.CacheDir = c.Auth0, places.State, places.Cache
	for i := range settings {
		c.choose(&settings[i], layers...)
	}
	// A discovery URL in a profile belongs to the issuer that the profile names.
	named, _, _, _ := issuerOf(profile)
	if c.values["discovery-url"].from == fromProfile && named != "" && named != c.Issuer {
		c.DiscoveryURL = ""
		delete(c.values, "discovery-url")
	}
	if c.StateDir == "" || c.CacheDir == "" {
		return nil, fmt.Errorf("%w: loopkey has no place for its files: set %s", ErrInvalid, private.HomeVariable())
	}
	if err := c.clientSecret(flags, variables, file, profile); err != nil {
		return nil, err
	}
	for i := range settings {
		if err := c.check(&settings[i]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// choose sets a setting to the value of the first layer that has one, else to its default.
func (c *Config) choose(s *setting, layers ...layer) {
	if s.set == nil {
		return
	}
	for _, l := range layers {
		if v, ok := l[s.name]; ok {
			c.values[s.name] = v
			s.set(c, v.text)
			return
		}
	}
	if s.defaultValue != "" {
		s.set(c, s.defaultValue)
	}
}

// check refuses a value that is not allowed.
func (c *Config) check(s *setting) error {
	v, given := c.values[s.name]
	if !given || s.check == nil {
		return nil
	}
	if err := s.check(v); err != nil {
		return v.refuse("%w", err)
	}
	return nil
}

// Complete reports what is missing for the use of a session, and how to give it.
func (c *Config) Complete() error {
	const how = "give %s as a flag, in the environment, in ./.env or in a profile of config.toml, " +
		"such as loopkey login --domain acme.eu.auth0.com --client-id s6BhdRkqt3"
	switch {
	case c.Issuer == "":
		return fmt.Errorf("%w: no issuer is configured: "+how, ErrInvalid, "--domain or --issuer")
	case c.ClientID == "":
		return fmt.Errorf("%w: no client ID is configured: "+how, ErrInvalid, "--client-id")
	}
	return nil
}

// CompleteForLogin reports what is missing for a login. Beside what Complete asks for, a login needs the scope openid:
// without it the provider sends no ID token.
func (c *Config) CompleteForLogin() error {
	if err := c.Complete(); err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(c.Scope), "openid") {
		return c.values["scope"].refuse("lacks openid: without that scope there is no login")
	}
	return nil
}

// Remember points the configuration at the client of an earlier login. Where that is another client than the configured
// one, the configured client secret is dropped.
func (c *Config) Remember(earlier known.Client) {
	if c.ClientID != earlier.ClientID || c.Issuer != "" && c.Issuer != earlier.Issuer {
		c.secret = nil
		delete(c.values, "client-secret")
	}
	if c.Issuer != "" && c.Issuer != earlier.Issuer {
		c.DiscoveryURL = "" // it is another issuer's
		delete(c.values, "discovery-url")
	}
	lastLogin := func(text string) value { return value{text: text, from: fromLastLogin, origin: "the last login"} }
	c.Issuer, c.ClientID, c.Auth0 = earlier.Issuer, earlier.ClientID, earlier.Auth0
	c.values["issuer"], c.values["client-id"] = lastLogin(c.Issuer), lastLogin(c.ClientID)
	if c.values["refresh-audiences"].from == fromNowhere {
		c.RefreshAudiences = c.Auth0
	}
	for i := range settings {
		s := &settings[i]
		if s.remembered == nil || c.values[s.name].from != fromNowhere {
			continue
		}
		if text := s.remembered(earlier); text != "" {
			c.values[s.name] = lastLogin(text)
			s.set(c, text)
		}
	}
}

// RememberDiscovery takes the discovery URL of an earlier login of the same client, unless another one is configured.
func (c *Config) RememberDiscovery(earlier known.Client) {
	if c.DiscoveryURL == "" && earlier.DiscoveryURL != "" && c.Name() == earlier.Name() {
		c.DiscoveryURL = earlier.DiscoveryURL
		c.values["discovery-url"] = value{text: c.DiscoveryURL, from: fromLastLogin, origin: "the last login"}
	}
}

// Origin returns the source of a setting's value, for a person to read: "flag --domain", "AUTH0_DOMAIN in the
// environment", "AUTH0_DOMAIN in ./.env", "profile work in PATH", "the last login" or "default". The setting is named
// as its flag is. A domain and an issuer are one setting.
func (c *Config) Origin(name string) string {
	if s := settingNamed(name); s != nil {
		name = cmp.Or(s.gives, name)
	}
	return cmp.Or(c.values[name].origin, "default")
}

// FromDotEnv reports whether the value of a setting came from ./.env, which is trusted less than the other sources.
func (c *Config) FromDotEnv(name string) bool { return c.values[name].from == fromDotEnv }

// Notes returns sentences that a command should show the person once.
func (c *Config) Notes() []string { return c.notes }
