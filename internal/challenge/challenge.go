// Package challenge reads what a server asks for when it refuses a request for its access token: the WWW-Authenticate
// fields of the response.
package challenge

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// A Bearer is what a Bearer challenge of a server says (RFC 6750, section 3; RFC 9470, section 3; RFC 9728, section
// 5.1). It is foreign text: a scope, an acr and an error have been checked, a URL has not.
type Bearer struct {
	Metadata string   // the URL of the resource's metadata; "": not in the challenge
	Scope    []string // that the request needs; nil: not in the challenge
	Error    string   // a code; "": not in the challenge
	// With InsufficientAuthentication: the kinds of authentication (acr) of which one would do, in the server's order, nil
	// is any; and how long ago the authentication may be, at most.
	ACR       []string
	MaxAge    time.Duration
	HasMaxAge bool
}

// Codes of Bearer.Error.
const (
	InsufficientScope          = "insufficient_scope"               // RFC 6750, section 3.1
	InsufficientAuthentication = "insufficient_user_authentication" // RFC 9470, section 3
)

// Limits of a challenge. What is longer counts as not there.
const (
	mostChallenge = 16 << 10 // of all WWW-Authenticate fields together
	mostScope     = 4 << 10  // of all scopes together, and of all values of acr_values
)

// Parse returns the first Bearer challenge among WWW-Authenticate fields, or the zero Bearer. One with
// InsufficientAuthentication goes before the others, also one of DPoP: a renewed token would not help it.
func Parse(fields []string) Bearer {
	var first *Bearer
	left := mostChallenge
	for _, field := range fields {
		if len(field) > left {
			continue
		}
		left -= len(field)
		for _, c := range splitChallenges(field) {
			isBearer := strings.EqualFold(c.scheme, "Bearer")
			if !isBearer && !strings.EqualFold(c.scheme, "DPoP") {
				continue
			}
			b := bearerOf(c.params)
			if b.Error == InsufficientAuthentication {
				return b
			}
			if first == nil && (isBearer || b.Metadata != "") { // of a server that takes bound tokens alone
				first = &b
			}
		}
	}
	if first == nil {
		return Bearer{}
	}
	return *first
}

// Need returns what the user's authentication has to be by a challenge with InsufficientAuthentication. One that leaves
// it to the provider what would do asks for an authentication now.
func (b Bearer) Need() provider.Requirement {
	need := provider.Requirement{ACR: strings.Join(b.ACR, " ")}
	if b.HasMaxAge || need.ACR == "" {
		need.MaxAge = max(b.MaxAge, provider.MaxAgeNow)
	}
	return need
}

func bearerOf(params map[string]string) Bearer {
	b := Bearer{Metadata: params["resource_metadata"], Scope: Scopes(params["scope"])}
	if len(b.Scope) == 0 {
		b.Scope = nil
	}
	if code := params["error"]; IsValue(code) && len(code) <= len(InsufficientAuthentication) {
		b.Error = code
	}
	if acr := params["acr_values"]; len(acr) <= mostScope {
		b.ACR = slices.DeleteFunc(strings.Fields(acr), func(value string) bool { return !IsValue(value) })
	}
	if len(b.ACR) == 0 {
		b.ACR = nil
	}
	if seconds, err := strconv.ParseUint(params["max_age"], 10, 31); err == nil {
		b.MaxAge, b.HasMaxAge = time.Duration(seconds)*time.Second, true
	}
	return b
}

// Scopes returns the values of a scope, sorted, each once. It leaves out what can't be one (RFC 6749, section 3.3).
func Scopes(scope string) []string {
	if len(scope) > mostScope {
		return nil
	}
	values := slices.DeleteFunc(strings.Fields(scope), func(value string) bool { return !IsValue(value) })
	slices.Sort(values)
	return slices.Compact(values)
}

// IsValue reports whether a word can be an acr, a scope or a code: it can stand in a list with spaces between, and
// between quotes.
func IsValue(value string) bool {
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
