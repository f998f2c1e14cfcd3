package provider

import (
	"encoding/json"
	"maps"
	"time"
)

// Claims are claims about a user, decoded from JSON with numbers as json.Number.
type Claims map[string]any

// Text returns a claim that is a string, or "".
func (c Claims) Text(name string) string {
	s, _ := c[name].(string)
	return s
}

// Subject returns the sub claim.
func (c Claims) Subject() string { return c.Text("sub") }

// Time returns a claim that is a NumericDate after 1970 (RFC 7519, section 2), or the zero time.
func (c Claims) Time(name string) time.Time {
	n, ok := c[name].(json.Number)
	if !ok {
		return time.Time{}
	}
	seconds, err := n.Float64()
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// Audiences returns the aud claim as a list (RFC 7519, section 4.1.3).
func (c Claims) Audiences() []string { return audiences(c["aud"]) }

// PeekClaims returns the claims of a JWT without verifying anything, for callers that pass the token on.
func PeekClaims(token Secret) (Claims, error) { return decodeClaims(token.Reveal()) }

// With returns c and, under names that c lacks, the claims of more.
func (c Claims) With(more Claims) Claims {
	all := make(Claims, len(c)+len(more))
	maps.Copy(all, more)
	maps.Copy(all, c)
	return all
}
