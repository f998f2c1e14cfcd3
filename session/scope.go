package session

import (
	"slices"
	"strings"
)

// normalScope returns scope with its values sorted and without doubles: their order has no meaning (RFC 6749,
// section 3.3).
func normalScope(scope string) string { return joined(strings.Fields(scope)) }

func joined(values []string) string {
	slices.Sort(values)
	return strings.Join(slices.Compact(values), " ")
}

// scopeValues returns the values of a scope, which some providers separate by commas. Google has URLs for two values of
// OpenID Connect and returns these.
func scopeValues(scope string) []string {
	values := strings.FieldsFunc(scope, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' })
	for i, value := range values {
		values[i] = strings.TrimPrefix(value, "https://www.googleapis.com/auth/userinfo.")
	}
	return values
}

// isCarried reports whether an access token can carry a value of a scope. It can't carry those that ask for an ID token
// (OpenID Connect Core 1.0, section 3.1.2.1) and for a refresh token (section 11), nor Entra's, which stands for all
// that the user consented to.
func isCarried(value string) bool {
	return value != "openid" && value != "offline_access" && !strings.HasSuffix(value, "/.default")
}

// accessScope returns what of a scope an access token can carry, in a form that can be compared. If it can carry
// nothing of it, accessScope returns all values.
func accessScope(scope string) string {
	all := scopeValues(scope)
	if carried := slices.DeleteFunc(slices.Clone(all), func(v string) bool { return !isCarried(v) }); len(carried) > 0 {
		return joined(carried)
	}
	return joined(all)
}

// MissingScope returns the values of asked that an access token with the scope granted lacks, for callers that got one
// without a session.
func MissingScope(asked, granted string) string { return missingScope(asked, granted) }

// missingScope returns the values of asked that an access token with the scope granted lacks. A value may be granted
// with its resource or without: Entra grants https://graph.microsoft.com/User.Read as User.Read.
func missingScope(asked, granted string) string {
	have := scopeValues(granted)
	return strings.Join(slices.DeleteFunc(scopeValues(asked), func(value string) bool {
		return !isCarried(value) || slices.ContainsFunc(have, func(h string) bool { return isSameValue(value, h) })
	}), " ")
}

func isSameValue(a, b string) bool {
	if a == b {
		return true
	}
	resourceA, nameA := cutResource(a)
	resourceB, nameB := cutResource(b)
	return nameA == nameB && (resourceA == "") != (resourceB == "")
}

// cutResource splits a value of a scope that is a URL into the resource and what is allowed there.
func cutResource(value string) (resource, name string) {
	if i := strings.LastIndexByte(value, '/'); i > 0 && strings.Contains(value, "://") {
		return value[:i], value[i+1:]
	}
	return "", value
}
