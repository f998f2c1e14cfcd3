package config

import (
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/provider"
)

const (
	defaultProfile = "default"
	hostsKey       = "hosts"
	profileKey     = "default_profile"
)

// A setting is one row of the table of settings. It says where the setting may be set, and what happens to its value.
type setting struct {
	name      string   // of its flag, too
	gives     string   // the setting whose value this one is another way to give; "": none
	variables []string // of the environment; the first one that is set decides
	inDotEnv  bool     // the variables are also read from ./.env, which may be a stranger's
	sample    string   // a further variable there, where one of Auth0's other samples names the issuer; "": none
	yields    bool     // a value in ./.env that can't be used is another program's: it counts for none
	key       string   // in a profile; "": none
	above     string   // the key above the profiles, for all of them; "": none
	flag      Flag     // none where its Value is ""

	isTable  bool                                        // a profile has tables for it, which readProfile reads
	isBool   bool                                        // a profile has true or false for it; else text
	isPorts  bool                                        // a profile has a list of numbers for it
	isSecret bool                                        // never shown; only its owner may read a config.toml with it
	resolve  func(p places, text string) (string, error) // makes a path in a profile absolute; nil: the value is no path

	set          func(c *Config, text string) // stores the value; nil: Load does that itself
	defaultValue string                       // the default; "": none, or Load sets one
	check        func(v value) error          // says what is wrong with the value; nil: any value will do
	remembered   func(k known.Client) string  // the value at the last login, which counts until another is set; nil: none
}

// A Flag is how the command line shows a setting.
type Flag struct {
	Name, Short string
	Value       string // a word for the value, such as FILE
	Usage       string
	ForLogins   bool // only the commands that log a person in take it, and each may be given several times
	ForBrowsers bool // only the commands that open a browser take it
}

// settings is the table of all settings, in the order in which --help shows them. A new setting is a row here and a
// field of Config. The table is plain data: the linker makes it, so it costs nothing when loopkey starts.
var settings = []setting{
	{
		name: "domain", gives: "issuer", variables: []string{"AUTH0_DOMAIN"}, inDotEnv: true, key: "domain",
		flag: Flag{Value: "DOMAIN", Usage: "Auth0 tenant, such as acme.eu.auth0.com"},
	},
	{
		name: "issuer", variables: []string{"LOOPKEY_ISSUER"}, inDotEnv: true, key: "issuer",
		flag: Flag{Value: "URL", Usage: "issuer of any OpenID provider"},
	},
	{
		name: "client-id", variables: []string{"LOOPKEY_CLIENT_ID", "AUTH0_CLIENT_ID"}, inDotEnv: true,
		sample: "CLIENT_ID", key: "client_id",
		flag:  Flag{Value: "ID", Usage: "client ID of the application registered there"},
		set:   func(c *Config, text string) { c.ClientID = text },
		check: checkClientID,
	},
	{
		name: "client-secret", variables: []string{"LOOPKEY_CLIENT_SECRET", "AUTH0_CLIENT_SECRET"}, inDotEnv: true,
		sample: "CLIENT_SECRET", key: "client_secret", isSecret: true,
		flag: Flag{Usage: "the client secret; without one the client is public"}, // no Value: it is no flag
	},
	{
		name: "client-secret-file", gives: "client-secret", key: "client_secret_file", resolve: places.resolve,
		flag: Flag{Value: "FILE", Usage: "file with the client secret; without one the client is public"},
	},
	{ // never in ./.env, like the certificate: it says which of the user's keys sign for whom
		name: "client-key", variables: []string{"LOOPKEY_CLIENT_KEY"}, key: "client_key", resolve: resolveClientKey,
		flag: Flag{Value: "FILE", Usage: "file with the client's private key, or keystore: see loopkey keys"},
		set:  func(c *Config, text string) { c.ClientKey = fullPath(text) },

		remembered: func(k known.Client) string { return k.ClientKey },
	},
	{
		name: "client-key-id", key: "client_key_id",
		set: func(c *Config, text string) { c.ClientKeyID = text }, check: checkKeyID,
		remembered: func(k known.Client) string { return k.ClientKeyID },
	},
	{
		name: "client-key-alg", key: "client_key_alg",
		set: func(c *Config, text string) { c.ClientKeyAlg = text }, check: checkKeyID,
		remembered: func(k known.Client) string { return k.ClientKeyAlg },
	},
	{
		name: "client-certificate", variables: []string{"LOOPKEY_CLIENT_CERTIFICATE"}, key: "client_certificate",
		resolve: places.resolve,
		flag:    Flag{Value: "FILE", Usage: "file with the client's certificate (mTLS), and its key unless that has its own"},
		set:     func(c *Config, text string) { c.ClientCertificate = fullPath(text) },

		remembered: func(k known.Client) string { return k.ClientCertificate },
	},
	{
		name: "client-certificate-key", variables: []string{"LOOPKEY_CLIENT_CERTIFICATE_KEY"}, key: "client_certificate_key",
		resolve: places.resolve,
		flag:    Flag{Value: "FILE", Usage: "file with the private key of the client's certificate"},
		set:     func(c *Config, text string) { c.ClientCertificateKey = fullPath(text) },

		remembered: func(k known.Client) string { return k.ClientCertificateKey },
	},
	{
		name: "assertion-audience", key: "assertion_audience",
		set: func(c *Config, text string) { c.AssertionAudience = text }, check: checkAssertionAudience,
		remembered: func(k known.Client) string { return k.AssertionAudience },
	},
	{
		name: "client-auth", key: "client_auth",
		set: func(c *Config, text string) { c.ClientAuth = text }, check: checkClientAuth,
		remembered: func(k known.Client) string { return k.ClientAuth },
	},
	{
		name: "par", key: "par", isBool: true,
		set: func(c *Config, text string) { c.Push = text == "true" },
	},
	{
		name: "sign-requests", key: "sign_requests", isBool: true,
		set: func(c *Config, text string) { c.SignRequests = text == "true" },
	},
	{
		name: "audience", variables: []string{"LOOPKEY_AUDIENCE", "AUTH0_AUDIENCE"}, inDotEnv: true, key: "audience",
		flag:  Flag{Value: "API", Usage: "the API that the access token is for"},
		set:   func(c *Config, text string) { c.Audience = text },
		check: checkAudience,
	},
	{
		name: "scope", variables: []string{"LOOPKEY_SCOPE"}, inDotEnv: true, key: "scope",
		flag:         Flag{Value: "SCOPES", Usage: `space-separated scopes (default "` + provider.DefaultScope + `")`},
		set:          func(c *Config, text string) { c.Scope = strings.Join(strings.Fields(text), " ") },
		defaultValue: provider.DefaultScope, check: checkScope,
	},
	{
		name: "base-url", variables: []string{"APP_BASE_URL"}, inDotEnv: true, sample: "BASE_URL", yields: true,
		key:          "base_url",
		flag:         Flag{Value: "URL", Usage: "where the local server is (default " + localurl.Default + ")"},
		set:          func(c *Config, text string) { c.BaseURL = text },
		defaultValue: localurl.Default, check: checkBaseURL,
		remembered: func(k known.Client) string { return k.BaseURL },
	},
	{
		name: portSetting, key: "callback_ports", isPorts: true,
		flag: Flag{
			Value: "PORT",
			Usage: "port of the local server, or several, of which the first free one is taken: 3000,3001; 0: any",
		},
		set:   func(c *Config, text string) { c.CallbackPorts, _ = portsOf(text) },
		check: checkPorts, remembered: func(k known.Client) string { return portsText(k.CallbackPorts) },
	},
	{ // never in ./.env: it could choose who logs in, and how
		name: "param", key: paramsKey, isTable: true,
		flag: Flag{
			Value: "NAME=VALUE", ForLogins: true,
			Usage: "a further authorization parameter, such as access_type=offline; may be repeated",
		},
	},
	{ // never in ./.env: it is about the person's own browser
		name: "browser-profile", key: "browser_profile",
		flag: Flag{
			Value: "NAME", ForBrowsers: true,
			Usage: "the profile of your browser in which pages open (Chrome, Edge, Firefox …)",
		},
		set: func(c *Config, text string) { c.BrowserProfile = text }, check: checkBrowserProfile,
	},
	{
		name: "private", key: "private_window", isBool: true,
		flag: Flag{Value: "bool", ForBrowsers: true, Usage: "open pages in a private window of your browser"},
		set:  func(c *Config, text string) { c.PrivateWindow = text == "true" },
	},
	{ // never in ./.env: it says who gets tokens
		name: hostsKey, key: hostsKey, isTable: true,
	},
	{ // never in ./.env: it says who vouches for the keys of an issuer that may have a session already
		name: "discovery-url", variables: []string{"LOOPKEY_DISCOVERY_URL"}, key: "discovery_url",
		flag:       Flag{Value: "URL", Usage: "where the provider's metadata is, if not under the issuer"},
		set:        func(c *Config, text string) { c.DiscoveryURL = text },
		check:      checkDiscoveryURL,
		remembered: func(k known.Client) string { return k.DiscoveryURL },
	},
	{
		name: "profile", variables: []string{"LOOPKEY_PROFILE"}, above: profileKey,
		flag: Flag{
			Short: "p", Value: "NAME",
			Usage: `profile of config.toml, and name of the session (default "` + defaultProfile + `")`,
		},
		set:          func(c *Config, text string) { c.Profile = text },
		defaultValue: defaultProfile, check: checkProfile,
	},
	{
		name: "keystore", variables: []string{"LOOPKEY_KEYSTORE"}, key: "keystore", resolve: resolveKeystore,
		flag:         Flag{Value: "KIND", Usage: "where the session rests: keychain, or file (encrypted)"},
		set:          func(c *Config, text string) { c.Keystore = text },
		defaultValue: keystores.Default, check: checkKeystore,
		remembered: func(k known.Client) string { return k.Keystore },
	},
	{
		name: "session-max-age", key: "session_max_age",
		set: func(c *Config, text string) { c.SessionMaxAge, _ = time.ParseDuration(text) }, check: checkSessionLimit,
	},
	{
		name: "session-idle", key: "session_idle",
		set: func(c *Config, text string) { c.SessionIdle, _ = time.ParseDuration(text) }, check: checkSessionLimit,
	},
	{ // never in ./.env: with it the passphrase is asked for less often
		name: "unlock-for", variables: []string{"LOOPKEY_UNLOCK_FOR"}, key: "unlock_for",
		flag:  Flag{Usage: "how long the key of an encrypted file stays unlocked, such as 15m"},
		set:   func(c *Config, text string) { c.UnlockFor, _ = time.ParseDuration(text) },
		check: checkUnlockFor,
	},
	{
		name: "audience-parameter", key: "audience_parameter",
		set: func(c *Config, text string) { c.AudienceParameter = text }, check: checkAudienceParameter,
		remembered: func(k known.Client) string { return k.AudienceParameter },
	},
	{
		name: "refresh-audiences", key: "refresh_audiences", isBool: true,
		set: func(c *Config, text string) { c.RefreshAudiences = text == "true" },
	},
	{ // never in ./.env: it says which names stand for one provider
		name: "other-domains", key: "other_domains",
		set: func(*Config, string) {}, check: checkOtherDomains,
	},
	{ // never in ./.env: it could turn off what the person has turned on
		name: "dpop", key: "dpop", isBool: true,
		set:        func(c *Config, text string) { c.DPoP = text == "true" },
		remembered: func(k known.Client) string { return onlyTrue(k.DPoP) },
	},
	{
		name: "log", variables: []string{"LOOPKEY_LOG"}, above: "log", isBool: true,
		flag:         Flag{Usage: "off: logins and tokens are not noted for loopkey log"},
		set:          func(c *Config, text string) { c.Log = text != "off" && text != "false" },
		defaultValue: "true", check: checkLog,
	},
	{
		name: "state-dir", key: "state_dir", resolve: places.resolve,
		set: func(c *Config, text string) { c.StateDir = text },
	},
	{
		name: "cache-dir", key: "cache_dir", resolve: places.resolve,
		set: func(c *Config, text string) { c.CacheDir = text },
	},
}

// onlyTrue returns "true", or "" in place of "false".
func onlyTrue(set bool) string {
	if set {
		return "true"
	}
	return ""
}

// settingNamed returns the setting with a name, or nil.
func settingNamed(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

// settingOfKey returns the setting that a profile sets with a key, or nil.
func settingOfKey(key string) *setting {
	for i := range settings {
		if settings[i].key == key && key != "" {
			return &settings[i]
		}
	}
	return nil
}

// settingAbove returns the setting that a key above the profiles sets, or nil.
func settingAbove(key string) *setting {
	for i := range settings {
		if settings[i].above == key && key != "" {
			return &settings[i]
		}
	}
	return nil
}

// Flags returns the flags of the configuration, in the order of the help: those that every command takes, or those for
// logins alone.
func Flags(forLogins bool) []Flag {
	return flagsOf(func(f Flag) bool { return f.ForLogins == forLogins && !f.ForBrowsers })
}

// BrowserFlags returns the flags of the configuration that the commands take which open a browser.
func BrowserFlags() []Flag { return flagsOf(func(f Flag) bool { return f.ForBrowsers }) }

func flagsOf(wanted func(Flag) bool) []Flag {
	var flags []Flag
	for _, s := range settings {
		if s.flag.Value != "" && wanted(s.flag) {
			s.flag.Name = s.name
			flags = append(flags, s.flag)
		}
	}
	return flags
}

// A Variable is a setting as the environment sets it.
type Variable struct {
	Names    []string // the first that is set decides
	Usage    string
	InDotEnv bool // a .env may have it too
}

// Variables returns the settings that the environment sets, in the order in which --help shows them.
func Variables() []Variable {
	var all []Variable
	for _, s := range settings {
		if len(s.variables) > 0 {
			all = append(all, Variable{s.variables, s.flag.Usage, s.inDotEnv})
		}
	}
	return all
}

// keys returns the keys of a profile.
func keys() []string {
	var keys []string
	for _, s := range settings {
		if s.key != "" {
			keys = append(keys, s.key)
		}
	}
	return keys
}
