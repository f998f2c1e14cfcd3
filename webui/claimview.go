package webui

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A claimGroup is a part of the claims under a heading.
type claimGroup struct {
	Title  string
	Claims []claimView
}

// A claimView is a claim as a page shows it: a value, or a time.
type claimView struct {
	Name, Value string
	Time        *moment
}

// mostClaim is how many characters of a claim's value are shown.
const mostClaim = 1000

// identityClaims say who the user is (OpenID Connect Core 1.0, section 5.1).
func identityClaims() []string {
	return []string{
		"sub", "name", "given_name", "middle_name", "family_name", "nickname", "preferred_username", "email",
		"email_verified", "phone_number", "phone_number_verified", "profile", "picture", "website", "gender",
		"birthdate", "zoneinfo", "locale", "address", "updated_at",
	}
}

// loginClaims say how and when the user logged in (OpenID Connect Core 1.0, section 2).
func loginClaims() []string {
	return []string{
		"auth_time", "amr", "acr", "org_id", "org_name", "sid", "iss", "aud", "azp", "iat", "exp", "nbf", "nonce",
		"at_hash", "session_expiry",
	}
}

// timeClaims hold a time, in seconds since 1970.
func timeClaims() []string {
	return []string{"auth_time", "iat", "exp", "nbf", "updated_at", "session_expiry"}
}

func groupClaims(claims provider.Claims) []claimGroup {
	identity, login := identityClaims(), loginClaims()
	var rest []string
	for name := range claims {
		if !slices.Contains(identity, name) && !slices.Contains(login, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	var groups []claimGroup
	for _, g := range []struct {
		title string
		names []string
	}{{"Of the user", identity}, {"Of the login", login}, {"All others", rest}} {
		var views []claimView
		for _, name := range g.names {
			if value, ok := claims[name]; ok {
				views = append(views, viewClaim(claims, name, value))
			}
		}
		if views != nil {
			groups = append(groups, claimGroup{g.title, views})
		}
	}
	return groups
}

func viewClaim(claims provider.Claims, name string, value any) claimView {
	v := claimView{Name: words.Line(name, 200)}
	if slices.Contains(timeClaims(), name) {
		if t := claims.Time(name); !t.IsZero() {
			v.Time = optional(t)
			return v
		}
	}
	switch value := value.(type) {
	case string:
		v.Value = words.Line(value, mostClaim)
	case []any:
		var parts []string
		for _, element := range value {
			parts = append(parts, words.Claim(element))
		}
		v.Value = words.Line(strings.Join(parts, ", "), mostClaim)
	default:
		if text, err := json.Marshal(value); err == nil {
			v.Value = words.Line(string(text), mostClaim)
		}
	}
	return v
}
