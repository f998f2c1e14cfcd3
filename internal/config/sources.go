package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/words"
)

type source int

const (
	fromNowhere source = iota
	fromFlag
	fromEnvironment
	fromDotEnv
	fromProfile
	fromFile // config.toml, above the profiles
	fromLastLogin
)

// A value is the value of a setting, and its source.
type value struct {
	text   string
	from   source
	origin string // the source, for a person to read; "": it is about to be set
	key    string // in the profile
	secret bool
	rank   int // of its source, among those that may set the value: the lowest counts
}

// refuse returns an error about a value: its source and what is wrong.
func (v value) refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, v.wrong(format, args...))
}

// place returns where the value was set, for a person to read.
func (v value) place() string {
	if v.origin == "" { // about to be set
		return v.key
	}
	if v.from == fromProfile {
		return v.origin + ": " + v.key
	}
	return v.origin
}

// wrong returns what is wrong with a value, after its source. It shows the value only where it came from a flag or the
// environment, and neither is a secret nor, for an @ in it, may hold a password.
func (v value) wrong(format string, args ...any) error {
	it := "it"
	if (v.from == fromFlag || v.from == fromEnvironment) && !v.secret && !strings.Contains(v.text, "@") {
		it = strconv.Quote(words.Printable(v.text))
	}
	return fmt.Errorf("%s: %s %w", v.place(), it, fmt.Errorf(format, args...))
}

// A layer holds the values of one source, by the name of the setting.
type layer map[string]value

// set sets a value that is not set yet. An empty one is none.
func (l layer) set(name string, v value) {
	if v.text != "" && l[name].text == "" {
		l[name] = v
	}
}

// namesIssuer reports whether the layer names an issuer, in one way or the other.
func (l layer) namesIssuer() bool { return l["issuer"].text != "" || l["domain"].text != "" }

// fromDotEnv reports whether the layer is that of the .env files.
func (l layer) fromDotEnv() bool {
	for _, v := range l {
		return v.from == fromDotEnv
	}
	return false
}

// unclaimedSecret returns the client secret of a layer that names no client: it may be that of any client.
func (l layer) unclaimedSecret() layer {
	secret, ok := l["client-secret"]
	if _, claimed := l["client-id"]; !ok || claimed || l.namesIssuer() {
		return layer{}
	}
	return layer{"client-secret": secret}
}

// layerOfFlags returns the values that flags set.
func layerOfFlags(flags map[string]string) layer {
	l := layer{}
	for name, text := range flags {
		l.set(name, value{text: text, from: fromFlag, origin: "flag --" + name})
	}
	return l
}

// layerOfEnvironment returns the values that variables of the environment set.
func layerOfEnvironment(env []string) layer {
	l := layer{}
	for i := range settings {
		s := &settings[i]
		for _, variable := range s.variables {
			l.set(s.name, value{
				text: environ.Lookup(env, variable), from: fromEnvironment, secret: s.isSecret,
				origin: variable + " in the environment",
			})
		}
	}
	return l
}
