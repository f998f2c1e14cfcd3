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

// layerOfFlags holds what the command line sets.
func layerOfFlags(flags map[string]string) layer {
	l := layer{}
	for name, text := range flags {
		l.set(name, value{text: text, from: fromFlag, origin: "flag --" + name})
	}
	return l
}

// layerOfEnvironment holds what the environment sets.
func layerOfEnvironment(env []string) layer {
	l := layer{}
	for i := range settings {
		s := &settings[i]
		for _, variable := range s.variables {
			text := environ.Lookup(env, variable)
			l.set(s.name, value{text: text, from: fromEnvironment, origin: variable + " in the environment"})
		}
	}
	return l
}
