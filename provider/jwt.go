package provider

import (
	"crypto"
	_ "crypto/sha256" // at_hash
	_ "crypto/sha512" // at_hash
	"encoding/base64"
	"encoding/json"
	"strings"
)

// notADate reports whether a claim is there and is no NumericDate (RFC 7519, section 2). Zero and negative numbers are
// dates that have passed.
func notADate(claims Claims, name string) bool {
	value, told := claims[name]
	n, isNumber := value.(json.Number)
	if !told || isNumber && !claims.Time(name).IsZero() {
		return false
	}
	seconds, err := n.Float64()
	return err != nil || seconds > 0 // too large for Time
}

// algorithm returns the algorithm that a JWT's header names.
func algorithm(raw string) string { return joseHeader(raw).Alg }

// A header is the part of a JWT's header that is read here.
type header struct {
	Alg string `json:"alg"`
	Typ string `json:"typ"`
}

// joseHeader decodes a JWT's header, and returns the zero header if it can't be decoded.
func joseHeader(raw string) (h header) {
	first, _, _ := strings.Cut(raw, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(decoded, &h) != nil {
		return header{}
	}
	return h
}

// joseMembers returns the members of a JWT's header, or nil if it can't be decoded.
func joseMembers(raw string) (members map[string]json.RawMessage) {
	first, _, _ := strings.Cut(raw, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(decoded, &members) != nil {
		return nil
	}
	return members
}

// decodeClaims decodes a JWT's payload and verifies nothing.
func decodeClaims(raw string) (Claims, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, malformed("the token is no signed JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, malformed("the token's payload is not base64url")
	}
	var claims Claims
	if err := object(payload, &claims); err != nil || claims == nil {
		return nil, malformed("the token's payload is no JSON object")
	}
	return claims, nil
}

// audiences returns aud as a list; it may also be one string (RFC 7519, section 4.1.3).
func audiences(aud any) []string {
	switch aud := aud.(type) {
	case string:
		return []string{aud}
	case []any:
		var list []string
		for _, a := range aud {
			if s, ok := a.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

// accessTokenHash returns the at_hash of an access token (OpenID Connect Core 1.0, section 3.1.3.6): the left half of
// its hash by the hash function that the ID token's algorithm uses.
func accessTokenHash(idToken string, accessToken Secret) string {
	hash := crypto.SHA256
	switch alg := algorithm(idToken); {
	case strings.HasSuffix(alg, "384"):
		hash = crypto.SHA384
	case strings.HasSuffix(alg, "512"), alg == "EdDSA": // Ed25519 hashes with SHA-512
		hash = crypto.SHA512
	}
	sum := hash.New()
	_, _ = sum.Write([]byte(accessToken.Reveal()))
	digest := sum.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}
