package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/private"
)

const (
	defaultScope   = "openid profile email offline_access"
	defaultProfile = "default"
)

// A setting is one key of the configuration: where it may be set, and what becomes of it.
type setting struct {
	name      string
	gives     string   // the setting that it gives a value to, where that is another
	variables []string // that set it in the environment, the first of them first
	inDotEnv  bool     // those variables may stand in ./.env too, which comes with a directory and is not trusted
	key       string   // of a profile; "": none
	flag      Flag     // without a Value: none

	isBool   bool                                        // true or false in a profile, not text
	isSecret bool                                        // a config.toml that holds it must be private
	resolve  func(p places, text string) (string, error) // makes a path in a profile absolute

	set       func(c *Config, text string) // nil: Load does that
	otherwise string                       // what is set where no source says anything
	check     func(v value) error          // what is wrong with a value that a source gave

	remembered func(k known.Client) string // what the last login used, and commands after it use too; nil: nothing
}

// A Flag is a flag of the command line, as its help shows it.
type Flag struct {
	Name, Short string
	Value       string // what stands for the value, such as FILE
	Usage       string
}

// settings are all keys of the configuration, in the order of the help. A new one is a row,
// and a field of Config. It is plain data, so that it costs no time when loopkey starts.
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
		name: "client-id", variables: []string{"LOOPKEY_CLIENT_ID", "AUTH0_CLIENT_ID"}, inDotEnv: true, key: "client_id",
		flag:  Flag{Value: "ID", Usage: "client ID of the application registered there"},
		set:   func(c *Config, text string) { c.ClientID = text },
		check: checkClientID,
	},
	{
		name: "client-secret", variables: []string{"LOOPKEY_CLIENT_SECRET", "AUTH0_CLIENT_SECRET"}, inDotEnv: true,
		key: "client_secret", isSecret: true,
	},
	{
		name: "client-secret-file", gives: "client-secret", key: "client_secret_file", resolve: places.resolve,
		flag: Flag{Value: "FILE", Usage: "file with the client secret; without one the client is public"},
	},
	{
		name: "audience", variables: []string{"LOOPKEY_AUDIENCE", "AUTH0_AUDIENCE"}, inDotEnv: true, key: "audience",
		flag:  Flag{Value: "API", Usage: "the API that the access token is for"},
		set:   func(c *Config, text string) { c.Audience = text },
		check: checkAudience,
	},
	{
		name: "scope", variables: []string{"LOOPKEY_SCOPE"}, inDotEnv: true, key: "scope",
		flag:      Flag{Value: "SCOPES", Usage: `space-separated scopes (default "` + defaultScope + `")`},
		set:       func(c *Config, text string) { c.Scope = strings.Join(strings.Fields(text), " ") },
		otherwise: defaultScope, check: checkScope,
	},
	{
		name: "base-url", variables: []string{"APP_BASE_URL"}, inDotEnv: true, key: "base_url",
		flag:      Flag{Value: "URL", Usage: "where the local server is (default " + localurl.Default + ")"},
		set:       func(c *Config, text string) { c.BaseURL = text },
		otherwise: localurl.Default, check: checkBaseURL,
		remembered: func(k known.Client) string { return k.BaseURL },
	},
	{
		name: "profile", variables: []string{"LOOPKEY_PROFILE"},
		flag: Flag{
			Short: "p", Value: "NAME",
			Usage: `profile of config.toml, and name of the session (default "` + defaultProfile + `")`,
		},
		set:       func(c *Config, text string) { c.Profile = text },
		otherwise: defaultProfile, check: checkProfile,
	},
	{
		name: "keystore", variables: []string{"LOOPKEY_KEYSTORE"}, key: "keystore", resolve: resolveKeystore,
		flag:      Flag{Value: "KIND", Usage: "where the session rests: keychain, or file (encrypted)"},
		set:       func(c *Config, text string) { c.Keystore = text },
		otherwise: keystores.Default, check: checkKeystore,
		remembered: func(k known.Client) string { return k.Keystore },
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
	{
		name: "state-dir", key: "state_dir", resolve: places.resolve,
		set: func(c *Config, text string) { c.StateDir = text },
	},
	{
		name: "cache-dir", key: "cache_dir", resolve: places.resolve,
		set: func(c *Config, text string) { c.CacheDir = text },
	},
}

// settingNamed returns the row of a setting, or nil.
func settingNamed(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

// settingOfKey returns the row of a profile's key, or nil.
func settingOfKey(key string) *setting {
	for i := range settings {
		if settings[i].key == key && key != "" {
			return &settings[i]
		}
	}
	return nil
}

// Flags returns the flags of the configuration, in the order of the help.
func Flags() []Flag {
	var flags []Flag
	for _, s := range settings {
		if s.flag.Value != "" {
			s.flag.Name = s.name
			flags = append(flags, s.flag)
		}
	}
	return flags
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

// A client ID is printable ASCII (RFC 6749, appendix A.1).
func checkClientID(v value) error {
	return checkCharacters(v.text, "client ID", func(r rune) bool { return r < 0x7f })
}

func checkAudience(v value) error {
	return checkCharacters(v.text, "audience", func(r rune) bool { return r < 0x7f || r > 0x7f && strconv.IsPrint(r) })
}

// A scope is printable ASCII without quotation marks and backslashes (RFC 6749, appendix A.4).
func checkScope(v value) error {
	if err := checkCharacters(v.text, "scope", func(r rune) bool { return r < 0x7f && r != '"' && r != '\\' }); err != nil {
		return err
	}
	if v.text != "" && strings.TrimSpace(v.text) == "" {
		return errors.New("holds no scope")
	}
	return nil
}

// checkCharacters refuses control characters, and those that are not allowed.
func checkCharacters(text, what string, allowed func(rune) bool) error {
	for _, r := range text {
		if r < ' ' || !allowed(r) {
			return fmt.Errorf("holds the character %#U, which no %s has", r, what)
		}
	}
	return nil
}

// The local server speaks plain http and listens on the loopback alone (RFC 8252, section 7.3).
func checkBaseURL(v value) error {
	_, err := localurl.ParseBase(v.text)
	return err
}

func checkProfile(v value) error {
	if !validProfile(v.text) {
		return errors.New("is no name of a profile: letters, digits, dot, dash and underscore, 64 at most, " +
			"and no device of Windows")
	}
	return nil
}

// validProfile keeps names to what is a file name everywhere: [A-Za-z0-9][A-Za-z0-9._-]{0,63},
// and no device of Windows.
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

func checkKeystore(v value) error {
	kind, _, ok := keystores.Find(v.text)
	if !ok || kind.OnlyInProfile && v.from != fromProfile {
		return errors.New("is no keystore: there are " + strings.Join(keystores.Choices(), " and "))
	}
	return nil
}

// resolveKeystore makes the path in the name of a keystore absolute. What is no keystore is
// returned as it is.
func resolveKeystore(p places, text string) (string, error) {
	kind, path, ok := keystores.Find(text)
	if !ok || !kind.TakesPath {
		return text, nil
	}
	path, err := p.resolve(path)
	return kind.Name + ":" + path, err
}

func checkAudienceParameter(v value) error {
	if v.text != "audience" && v.text != "resource" {
		return errors.New("must be audience or resource")
	}
	return nil
}
