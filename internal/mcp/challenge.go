package mcp

import (
	"slices"
	"strings"
)

// A bearer is what a Bearer challenge of a server says (RFC 6750, section 3; RFC 9728, section 5.1). It is foreign
// text: a scope has been checked, a URL has not.
type bearer struct {
	metadata string   // the URL of the resource's metadata; "": not in the challenge
	scope    []string // that the request needs; nil: not in the challenge
}

// Limits of a challenge. What is longer counts as not there.
const (
	mostChallenge = 16 << 10 // of a WWW-Authenticate field
	mostScope     = 4 << 10  // of all scopes together
)

// parseBearer returns the first Bearer challenge among WWW-Authenticate fields, or the zero bearer.
func parseBearer(fields []string) bearer {
	for _, field := range fields {
		if len(field) > mostChallenge {
			continue
		}
		for _, c := range splitChallenges(field) {
			if strings.EqualFold(c.scheme, "Bearer") {
				return bearer{metadata: c.params["resource_metadata"], scope: scopesIn(c.params["scope"])}
			}
		}
	}
	return bearer{}
}

// scopesIn returns the values of a scope, sorted, each once. It leaves out what can't be one (RFC 6749, section 3.3).
func scopesIn(scope string) []string {
	if len(scope) > mostScope {
		return nil
	}
	values := slices.DeleteFunc(strings.Fields(scope), func(value string) bool { return !isScope(value) })
	slices.Sort(values)
	return slices.Compact(values)
}

func isScope(value string) bool {
	foreign := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	return value != "" && !strings.ContainsFunc(value, foreign)
}

// A schemeChallenge is one challenge of a WWW-Authenticate field. The names of its parameters are in lower case.
type schemeChallenge struct {
	scheme string
	params map[string]string
}

// splitChallenges splits a WWW-Authenticate field (RFC 9110, section 11.6.1), which may hold several challenges. What
// can't be read ends it: the challenges before that count.
func splitChallenges(field string) []schemeChallenge {
	var all []schemeChallenge
	s := scanner(field)
	for {
		s.skip(" \t,")
		name := s.token()
		if name == "" {
			return all
		}
		s.skip(" \t")
		if len(all) == 0 || !s.take('=') { // a parameter's name has an equals sign after it, a scheme has none
			all = append(all, schemeChallenge{scheme: name, params: map[string]string{}})
			s.skipToken68()
			continue
		}
		s.skip(" \t")
		value, ok := s.value()
		if !ok {
			return all
		}
		params := all[len(all)-1].params
		if name = strings.ToLower(name); params[name] == "" {
			params[name] = value
		}
		if s.skip(" \t"); s != "" && s[0] != ',' {
			return all
		}
	}
}

// A scanner is the rest of a field.
type scanner string

func (s *scanner) skip(chars string) { *s = scanner(strings.TrimLeft(string(*s), chars)) }

func (s *scanner) take(c byte) bool {
	if *s == "" || (*s)[0] != c {
		return false
	}
	*s = (*s)[1:]
	return true
}

// token returns the token at the beginning (RFC 9110, section 5.6.2), or "".
func (s *scanner) token() string {
	end := strings.IndexFunc(string(*s), func(r rune) bool { return !isTokenChar(r) })
	if end < 0 {
		end = len(*s)
	}
	token := string((*s)[:end])
	*s = (*s)[end:]
	return token
}

func isTokenChar(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	return letter || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// value returns the token or the quoted string at the beginning.
func (s *scanner) value() (value string, ok bool) {
	if !s.take('"') {
		value = s.token()
		return value, value != ""
	}
	var b strings.Builder
	for i := 0; i < len(*s); i++ {
		switch c := (*s)[i]; c {
		case '"':
			*s = (*s)[i+1:]
			return b.String(), true
		case '\\':
			if i++; i < len(*s) {
				b.WriteByte((*s)[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// skipToken68 skips the token68 that some schemes have in place of parameters, such as Negotiate. It ends at a comma or
// at the end, and no parameter's name does.
func (s *scanner) skipToken68() {
	rest := string(*s)
	end := strings.IndexByte(rest, ',')
	if end < 0 {
		end = len(rest)
	}
	one := strings.TrimRight(rest[:end], " \t")
	if text := strings.TrimRight(one, "="); text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !isTokenChar(r) && r != '/'
	}) {
		*s = scanner(rest[len(one):])
	}
}
