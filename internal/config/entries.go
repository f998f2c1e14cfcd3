package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/words"
)

// An Entry is a value of the configuration, for a person to read.
type Entry struct {
	Key    string // as config.toml names it
	Value  string // "": none, or it is a secret
	Origin string // of the value: see Config.Origin; "": there is no value
	Secret bool   // it has a value, which is not shown
	Fault  error  // why a value that a source sets can't be used; nil: it can, or there is none
}

// Path returns where config.toml is, also one that can't be read; "": there is no place for one.
func Path(in Input) string { return placesOf(in.Environ).file }

// Entries returns the values of all settings, in the order of the table. Where a setting has no value, neither from a
// source nor by default, its entry is empty. An Auth0 tenant has the entry domain too.
func (c *Config) Entries() []Entry {
	var all []Entry
	for i := range settings {
		s := &settings[i]
		switch {
		case s.name == "domain" && c.Auth0:
			domain := strings.TrimSuffix(strings.TrimPrefix(c.Issuer, "https://"), "/")
			all = append(all, Entry{Key: s.key, Value: words.Printable(domain), Origin: c.Origin("issuer")})
			continue
		case s.gives != "":
			continue
		case s.name == hostsKey:
			if len(c.Hosts) > 0 {
				all = append(all, Entry{Key: hostsKey, Value: hostsOf(c), Origin: c.ofProfile()})
			}
			continue
		case s.isTable:
			for _, name := range slices.Sorted(maps.Keys(c.Params)) {
				all = append(all, Entry{
					Key: paramsPrefix + name, Value: words.Printable(c.Params.Get(name)), Origin: c.ofProfile(),
				})
			}
			continue
		}
		e := Entry{Key: s.shownKey(), Value: words.Printable(c.textOf(s)), Fault: c.faults[s.name]}
		if v, set := c.values[s.name]; set && s.isSecret {
			e.Value, e.Secret, e.Origin = "", true, v.origin
		} else if e.Value != "" {
			e.Origin = c.Origin(s.name)
		}
		all = append(all, e)
	}
	return all
}

// shownKey returns the key by which a person knows a setting.
func (s *setting) shownKey() string {
	if s.key != "" {
		return s.key
	}
	return strings.ReplaceAll(s.name, "-", "_")
}

// textOf returns the value of a setting that is one text.
func (c *Config) textOf(s *setting) string {
	switch s.name {
	case "issuer":
		return c.Issuer
	case "state-dir":
		return c.StateDir
	case "cache-dir":
		return c.CacheDir
	case "par":
		return strconv.FormatBool(c.Push)
	case "sign-requests":
		return strconv.FormatBool(c.SignRequests)
	case "refresh-audiences":
		return strconv.FormatBool(c.RefreshAudiences)
	}
	if v, ok := c.values[s.name]; ok {
		return v.text
	}
	return s.defaultValue
}

func hostsOf(c *Config) string {
	var names []string
	for i := range c.Hosts {
		names = append(names, words.Printable(c.Hosts[i].String()))
	}
	return strings.Join(names, " ")
}

// ofProfile is the origin of what a profile alone sets.
func (c *Config) ofProfile() string { return "profile " + c.Profile + " in " + c.File }

// InProfile reports whether a key stands in a profile, and not above the profiles.
func InProfile(key string) bool { return settingOfKey(key) != nil }

// A Choice is a key that Set takes.
type Choice struct {
	Key    string
	Values []string // that it may have; nil: any that its check accepts
}

// Choices returns the keys that Set takes, in the order of the table.
func Choices() []Choice {
	var all []Choice
	for i := range settings {
		s := &settings[i]
		if s.isTable || s.isSecret || s.key == "" && s.above == "" {
			continue
		}
		c := Choice{Key: s.key}
		if s.key == "" {
			c.Key = s.above
		}
		switch {
		case s.isBool:
			c.Values = []string{"true", "false"}
		case s.name == "keystore":
			c.Values = keystores.Choices()
		case s.name == "audience-parameter":
			c.Values = []string{"audience", "resource"}
		case s.name == "assertion-audience":
			c.Values = []string{"issuer", "token_endpoint"}
		case s.name == "client-auth":
			c.Values = []string{authNone}
		}
		all = append(all, c)
	}
	return all
}

// Set returns the content of a config.toml in which a key has a value: in the profile, or above the profiles if that is
// where the key stands. An empty value takes the key out. The profile is read as it is then, so that no value is set
// that goes with no other. The errors wrap ErrInvalid.
func Set(in Input, content []byte, profile string, change Assignment) ([]byte, error) {
	change.Key = strings.ReplaceAll(change.Key, "-", "_")
	s := settingOfKey(change.Key)
	switch {
	case s == nil && settingAbove(change.Key) != nil:
		return EditAbove(content, change)
	case s == nil:
		return nil, fmt.Errorf("%w: there is no key %q", ErrInvalid, words.Printable(change.Key))
	case s.isSecret:
		return nil, fmt.Errorf("%w: %s is a secret", ErrInvalid, s.key)
	case s.isTable:
		return nil, fmt.Errorf("%w: %s is a table, not one value", ErrInvalid, s.key)
	}
	if s.resolve != nil && s.name != "keystore" && change.Value != "" && change.Value != KeyInKeystore &&
		!strings.HasPrefix(change.Value, "~") {
		path, err := filepath.Abs(change.Value) // in config.toml a path begins in the folder of that file
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, s.key, err)
		}
		change.Value = path
	}
	text, err := Edit(content, profile, change)
	if err != nil {
		return nil, err
	}
	f, err := parseFile(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	f.places, f.content, f.mode = placesOf(in.Environ), text, os.ModeIrregular
	l, _, err := f.profile(profile)
	if err == nil {
		_, _, _, err = issuerOf(l)
	}
	if err == nil {
		err = l.oneSecret()
	}
	return text, err
}
