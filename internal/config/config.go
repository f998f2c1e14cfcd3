// Package config makes one Config of the flags, the environment, a profile of config.toml that was named, ./.env.local,
// ./.env and the default profile, which default_profile in config.toml names. The first of these sources that sets a
// value wins. An empty value counts as not set. Config knows which source each value came from.
//
// The package takes the flags and the environment from Input. It asks the process for nothing but the content of files.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
)

// ErrInvalid says that the configuration can't be used as it is. The errors that wrap it name the value and its
// source; those with a ReasonedError leave what to do to the caller. They never repeat what a file holds.
var ErrInvalid = errors.New("configuration")

// Input is what Load reads.
type Input struct {
	Flags   map[string]string // by name, only those that were set
	Params  []string          // of the flag --param: name=value
	Environ []string          // as os.Environ returns it
	Dir     string            // the folder of the .env files; "": none are read
	// Alone is for a session that is known from its login, and resolves by itself: of the flags only the profile counts,
	// of the environment only a client secret that no client beside it claims, and no .env.
	Alone bool
}

// Config is the configuration of one command.
type Config struct {
	known.Client     // Issuer and ClientID are "" where none is configured
	Audience, Scope  string
	Audiences        []string      // that a login asks for beside Audience: those of the profile and of its hosts
	Params           url.Values    // further authorization parameters; none that a login sets itself
	Hosts            hosts.List    // the servers that tools may get tokens for
	Push             bool          // logins push their authorization request (RFC 9126)
	SignRequests     bool          // logins sign their authorization request (RFC 9101)
	RefreshAudiences bool          // the refresh token may be used for audiences that the login did not name
	SessionMaxAge    time.Duration // of the next login, since then; 0: none
	SessionIdle      time.Duration // of the next login, since a token was last handed out; 0: none
	UnlockFor        time.Duration // how long the key of an encrypted file rests after its passphrase was given; 0: never
	BrowserProfile   string        // of the person's browser, for logins; "": any
	PrivateWindow    bool          // logins are made in a private window of it
	File             string        // the path of config.toml; "": there is no place for one
	StateDir         string
	CacheDir         string
	Log              bool // what becomes of the sessions is recorded, for loopkey log

	noted      *known.Client          // what Noted has read; nil: nothing
	secret     func() (string, error) // nil: none; a func, because fmt would print an unexported string
	secretPath string                 // of the file that the secret is read from, if it is
	values     map[string]value       // by the name of the setting; those that a source set
	faults     map[string]error       // by the name of the setting; values that can't be used, for who needs them
	unread     error                  // why a .env can't be read
	notes      []string               // what of a .env is passed over, and why
	unused     []string               // what of a .env loopkey has no use for

	strangeIssuer, strangeClient bool // ./.env alone names the issuer, the client
}

// Load reads the configuration. Its errors wrap ErrInvalid. A missing issuer or client ID is no error of Load: Complete
// reports it. Nor is a value that only some commands need, if ./.env or the environment sets it: Needs reports that.
func Load(in Input) (*Config, error) {
	c := &Config{values: map[string]value{}, faults: map[string]error{}}
	flags, variables := layerOfFlags(in.Flags), layerOfEnvironment(in.Environ)
	if in.Alone {
		flags, variables, in.Dir = layer{"profile": flags["profile"]}, variables.unclaimedSecret(), ""
	}
	places := placesOf(in.Environ)
	configFile, err := readFile(places)
	if err != nil {
		return nil, err
	}
	above, err := configFile.layer()
	if err != nil {
		return nil, err
	}
	// The profile comes first, because it is a source of the other settings.
	if err := c.choose(settingNamed("profile"), flags, variables, above); err != nil {
		return nil, err
	}
	file := readDotEnv(in.Dir)
	c.notes, c.unused, c.unread = file.notes, file.unused, file.unread
	profile, listed, err := configFile.profile(c.Profile)
	if err != nil {
		return nil, err
	}
	c.Hosts, c.File = listed, places.file
	if c.Params, err = paramsOf(in.Params, profile); err != nil {
		return nil, err
	}
	sameTenant(profile, flags, variables, file.layer)
	layers := []layer{flags, variables, file.layer, profile, above}
	if c.ProfileNamed() { // what the person names beats what the folder brings
		if foreign(file.layer, flags, variables, profile) {
			file, c.notes, c.unused, c.unread = dotEnv{}, nil, nil, nil
		}
		layers = []layer{flags, variables, profile, file.layer, above}
	}
	if err := c.issuer(layers); err != nil {
		return nil, err
	}
	c.RefreshAudiences, c.StateDir, c.CacheDir = c.Auth0, places.State, places.Cache
	c.UnlockFor = DefaultUnlocked
	for i := range settings {
		if settings[i].name == "profile" {
			continue
		}
		if err := c.choose(&settings[i], layers...); err != nil {
			return nil, err
		}
	}
	// A discovery URL in a profile belongs to the issuer that the profile names.
	named, _, _, _ := issuerOf(profile)
	if c.values["discovery-url"].from == fromProfile && named != "" && named != c.Issuer {
		c.DiscoveryURL = ""
		delete(c.values, "discovery-url")
	}
	c.firstPort()
	c.Audiences = c.furtherAudiences(profile)
	if c.StateDir == "" || c.CacheDir == "" {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, because(ReasonNoPlace, "", "loopkey has no place for its files"))
	}
	c.findStrangers(profile)
	if err := c.clientSecret(flags, variables, file.layer, profile); err != nil {
		return nil, err
	}
	c.dropForeignKeys(profile)
	for name, err := range file.faults {
		c.fault(name, err)
	}
	return c, nil
}

// furtherAudiences returns the audiences that a login asks for beside Audience. The profile's own is among them where a
// flag or the environment names another one, so that such a login loses nothing.
func (c *Config) furtherAudiences(profile layer) []string {
	all := c.Hosts.LoginAudiences()
	if own := profile["audience"].text; own != "" && !slices.Contains(all, own) {
		all = append(all, own)
	}
	return slices.DeleteFunc(all, func(audience string) bool { return audience == c.Audience })
}

// foreign reports whether a .env names another issuer or client than the layers above it. Then the rest of it, such as
// the audience, is not for this client either.
func foreign(file layer, above ...layer) bool {
	issuer, client := "", ""
	for _, l := range above {
		named, _, _, _ := issuerOf(l)
		issuer, client = cmp.Or(issuer, named), cmp.Or(client, l["client-id"].text)
	}
	named, _, _, _ := issuerOf(file)
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return differ(named, issuer) || differ(file["client-id"].text, client)
}

// choose sets a setting to the value of the first layer that has one which can be used, else to its default.
func (c *Config) choose(s *setting, layers ...layer) error {
	if s.set == nil {
		return nil
	}
	var fault error
	for i, l := range layers {
		v, ok := l[s.name]
		if !ok {
			continue
		}
		v.rank = i
		if err := v.judge(s); err != nil && v.from == fromDotEnv {
			c.passOver(v, err)
			if !s.yields {
				fault = v.refuse("%w", err)
			}
			continue
		} else if err != nil && v.from == fromEnvironment && s.inDotEnv {
			fault = v.refuse("%w", err)
			break
		} else if err != nil {
			return v.refuse("%w", err)
		}
		c.values[s.name] = v
		s.set(c, v.text)
		return nil
	}
	if s.defaultValue != "" {
		s.set(c, s.defaultValue)
	}
	if fault != nil {
		c.fault(s.name, fault)
	}
	return nil
}

// judge returns what is wrong with a value of a setting.
func (v value) judge(s *setting) error {
	if s.check == nil {
		return nil
	}
	return s.check(v)
}

// passOver notes that a value of a .env can't be used.
func (c *Config) passOver(v value, err error) {
	c.notes = append(c.notes, v.wrong("%w", err).Error()+": it is passed over.")
}

// fault remembers why a setting has no value, for commands that need it. The first reason counts.
func (c *Config) fault(name string, err error) {
	if _, given := c.values[name]; !given && c.faults[name] == nil {
		c.faults[name] = err
	}
}

// Needs returns an error if a source sets one of the settings to a value that can't be used, and no source to one that
// can. Only a command that uses the setting asks.
func (c *Config) Needs(names ...string) error {
	for _, name := range names {
		if err := c.faults[name]; err != nil {
			return err
		}
	}
	return nil
}

// ProfileNamed reports whether a flag or the environment names the profile. What a profile that was named sets, no .env
// changes. The one that default_profile names is not named in this sense: it was chosen for no command in particular,
// some day and in some other folder, and the folder's .env is nearer to what is done here.
func (c *Config) ProfileNamed() bool {
	from := c.values["profile"].from
	return from == fromFlag || from == fromEnvironment
}

// Complete reports what is missing for the use of a session.
func (c *Config) Complete() error {
	if err := c.Needs("issuer", "client-id"); err != nil {
		return err
	}
	why := ""
	if c.unread != nil {
		why = " (" + c.unread.Error() + ")"
	}
	switch {
	case c.Issuer == "":
		return fmt.Errorf("%w: %w", ErrInvalid, because(ReasonNoIssuer, "", "no issuer is configured%s", why))
	case c.ClientID == "":
		return fmt.Errorf("%w: %w", ErrInvalid, because(ReasonNoClientID, "", "no client ID is configured%s", why))
	}
	return nil
}

// CompleteForLogin reports what is missing for a login. Beside what Complete asks for, a login needs the scope openid:
// without it the provider sends no ID token.
func (c *Config) CompleteForLogin() error {
	if err := c.Complete(); err != nil {
		return err
	}
	if err := c.Needs("audience", "scope", "base-url"); err != nil {
		return err
	}
	if err := c.anyPortFits(); err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(c.Scope), "openid") {
		return c.values["scope"].refuse("lacks openid: without that scope there is no login")
	}
	return nil
}

// Noted returns the note of the configured client's last login. A note that is there is read once.
func (c *Config) Noted() (earlier known.Client, ok bool) {
	if c.noted == nil || c.noted.Name() != c.Name() {
		noted, ok := known.Recall(c.StateDir, c.Name())
		if !ok {
			return known.Client{}, false
		}
		c.noted = &noted
	}
	return *c.noted, true
}

// Remember points the configuration at the client of an earlier login. Where that is another client than the configured
// one, the configured client secret is dropped.
func (c *Config) Remember(earlier known.Client) {
	if c.ClientID != earlier.ClientID || c.Issuer != "" && c.Issuer != earlier.Issuer {
		c.secret, c.secretPath, c.ClientSecretFile = nil, "", ""
		delete(c.values, "client-secret")
		c.dropKeys()
	}
	if c.Issuer != "" && c.Issuer != earlier.Issuer {
		c.DiscoveryURL = "" // it is another issuer's
		delete(c.values, "discovery-url")
	}
	c.noted = &earlier
	lastLogin := func(text string) value {
		return value{text: text, from: fromLastLogin, origin: LastLogin, rank: math.MaxInt}
	}
	c.Issuer, c.ClientID, c.Auth0 = earlier.Issuer, earlier.ClientID, earlier.Auth0
	c.Resource, c.Server = earlier.Resource, earlier.Server
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
	c.firstPort()
}

// RememberDiscovery takes the discovery URL of an earlier login of the same client, unless another one is configured.
func (c *Config) RememberDiscovery(earlier known.Client) {
	if c.DiscoveryURL == "" && earlier.DiscoveryURL != "" && c.Name() == earlier.Name() {
		c.DiscoveryURL = earlier.DiscoveryURL
		c.values["discovery-url"] = value{text: c.DiscoveryURL, from: fromLastLogin, origin: LastLogin}
	}
}

// KeepDPoP binds the tokens of the next login to a key where the last login of the same client did, unless a source
// says otherwise: nothing gets weaker by itself.
func (c *Config) KeepDPoP(earlier known.Client) {
	if c.values["dpop"].from == fromNowhere && earlier.DPoP {
		c.DPoP = true
		c.values["dpop"] = value{text: "true", from: fromLastLogin, origin: LastLogin}
	}
}

// KeepCredentials takes what the last login of the same client authenticated by, as far as a note tells that: a key, a
// certificate or the file of a secret. Where a source says one of these, the note counts for none of them. Whom
// assertions are made out to is none of these.
func (c *Config) KeepCredentials(earlier known.Client) {
	isSet := func(name string) bool {
		from := c.values[name].from
		return from != fromNowhere && from != fromLastLogin // Remember has taken a part of the same note
	}
	given := func(name string) bool { return isSet(name) && name != "assertion-audience" || c.faults[name] != nil }
	if c.secret != nil || c.Name() != earlier.Name() || slices.ContainsFunc(keySettings(), given) {
		return
	}
	for _, name := range keySettings() {
		s := settingNamed(name)
		if text := s.remembered(earlier); text != "" && !isSet(name) {
			c.values[name] = value{text: text, from: fromLastLogin, origin: LastLogin}
			s.set(c, text)
		}
	}
	if path := earlier.ClientSecretFile; path != "" && private.IsRegular(path) {
		c.ClientSecretFile = path
		c.useSecret(value{text: path, from: fromLastLogin, origin: LastLogin}, true)
	}
}

// SetDPoP decides by a flag whether logins bind their tokens to a key.
func (c *Config) SetDPoP(on bool) {
	c.DPoP = on
	c.values["dpop"] = value{text: strconv.FormatBool(on), from: fromFlag, origin: "flag --dpop"}
}

// KeepKeystore takes the keystore of the last login of the same client, where no source names one.
func (c *Config) KeepKeystore(earlier known.Client) {
	if c.values["keystore"].from == fromNowhere && earlier.Keystore != "" {
		c.Keystore = earlier.Keystore
		c.values["keystore"] = value{text: c.Keystore, from: fromLastLogin, origin: LastLogin}
	}
}

// FollowKeystore takes a keystore in which the session of an earlier login may be. A flag decides all the same. So does
// another source, if it names one of those keystores; else it names where a new login would go, and not the session.
func (c *Config) FollowKeystore(earlier known.Client) {
	from := c.values["keystore"].from
	if from == fromFlag || from != fromNowhere && slices.Contains(earlier.Keystores(), c.Keystore) {
		return
	}
	delete(c.values, "keystore")
	c.KeepKeystore(earlier)
}

// LastLogin is the Origin of a setting that a command takes from the last login, and a new login does not.
const LastLogin = "the last login"

// Origin returns the source of a setting's value, for a person to read: "flag --domain", "AUTH0_DOMAIN in the
// environment", "AUTH0_DOMAIN in ./.env", "profile work in PATH", LastLogin or "default". The setting is named as
// its flag is. A domain and an issuer are one setting.
func (c *Config) Origin(name string) string {
	if s := settingNamed(name); s != nil {
		name = cmp.Or(s.gives, name)
	}
	return cmp.Or(c.values[name].origin, "default")
}

// FromDotEnv reports whether the value of a setting came from a .env, which is trusted less than the other sources.
func (c *Config) FromDotEnv(name string) bool { return c.values[name].from == fromDotEnv }

// Given reports whether a flag or the environment sets a value.
func (c *Config) Given(name string) bool {
	from := c.values[name].from
	return from == fromFlag || from == fromEnvironment
}

// CompletedByDotEnv reports whether the issuer or the client ID came from a .env.
func (c *Config) CompletedByDotEnv() bool { return c.FromDotEnv("issuer") || c.FromDotEnv("client-id") }

// Notes returns sentences that a command should show the person once.
func (c *Config) Notes() []string { return slices.Concat(c.notes, c.unused) }

// Flaws returns those of Notes that say what of a .env can't be used.
func (c *Config) Flaws() []string { return c.notes }
