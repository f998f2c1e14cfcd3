package provider

import (
	"context"
	"crypto"
	_ "crypto/sha256" // at_hash
	_ "crypto/sha512" // at_hash
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/words"
)

const (
	clockLeeway = time.Minute
	oldestLogin = 24 * time.Hour // an ID token of a login that has just been made is no older
)

// Checks that an ID token or an answer can fail. Each wraps ErrUntrusted.
var (
	ErrIssuer          = fmt.Errorf("%w: issuer", ErrUntrusted)
	ErrAudience        = fmt.Errorf("%w: audience", ErrUntrusted)
	ErrNonce           = fmt.Errorf("%w: nonce", ErrUntrusted)
	ErrSignature       = fmt.Errorf("%w: signature", ErrUntrusted)
	ErrAlgorithm       = fmt.Errorf("%w: signature algorithm", ErrUntrusted)
	ErrExpired         = fmt.Errorf("%w: expiry", ErrUntrusted)
	ErrIssuedAt        = fmt.Errorf("%w: issued at", ErrUntrusted)
	ErrAuthorizedParty = fmt.Errorf("%w: authorized party", ErrUntrusted)
	ErrAccessTokenHash = fmt.Errorf("%w: access token hash", ErrUntrusted)
	ErrSubject         = fmt.Errorf("%w: subject", ErrUntrusted)
	ErrAuthTime        = fmt.Errorf("%w: authentication time", ErrUntrusted)
	ErrOrganization    = fmt.Errorf("%w: organization", ErrUntrusted)
	ErrTokenType       = fmt.Errorf("%w: token type", ErrUntrusted)
	ErrMalformed       = fmt.Errorf("%w: form", ErrUntrusted)
)

// An UntrustedError names the check that failed, and what did not fit. It wraps Check, which wraps ErrUntrusted.
type UntrustedError struct {
	Check  error         // ErrIssuer, ErrAudience …
	Detail string        // what did not fit; printable, never a token
	Reason Reason        // why, where more is known than Check says; else ""
	Issuer string        // with ReasonIssuerName: what the provider calls itself, in its own words
	Skew   time.Duration // with ReasonClockBehind and ReasonClockAhead: the provider's clock less this computer's
}

func (e *UntrustedError) Error() string { return e.Check.Error() + ": " + e.Detail }

// Unwrap returns the check.
func (e *UntrustedError) Unwrap() error { return e.Check }

// idTokenExpectation is what an ID token has to say.
type idTokenExpectation struct {
	renewed     bool      // from a refresh: no nonce is demanded (a device's login sent none), the subject is compared
	keys        freshness // how old the keys may be
	nonce       string
	accessToken Secret
	maxAge      time.Duration
	subject     string
	authTime    time.Time
	// organization is what Auth0 was asked for, an ID or a name; of a renewed one, the ID that the one before had.
	organization string
}

// verifyIDToken returns the claims of an ID token that was issued to our client
// (OpenID Connect Core 1.0, sections 3.1.3.7 and 12.2). It forgives a clock that is
// a minute off.
func (p *Provider) verifyIDToken(ctx context.Context, m *Metadata, raw string, want idTokenExpectation) (Claims, time.Time, error) {
	none := time.Time{}
	if strings.Count(raw, ".") != 2 || len(raw) > 64<<10 {
		return nil, none, &UntrustedError{Check: ErrMalformed, Detail: "the ID token is no signed JWT"}
	}
	m = p.advertising(ctx, m, algorithm(raw))
	now := p.now()
	// go-oidc verifies all that it knows of; issuer, audience and expiry are compared here once more. Its errors
	// are texts, and it reads claims whatever their case ("ISS"), which ours does not.
	keys := &keySet{p: p, m: m, algorithms: m.algorithms(), age: want.keys}
	verifier := oidc.NewVerifier(p.cfg.Issuer, keys, &oidc.Config{
		ClientID: p.cfg.ClientID, SupportedSigningAlgs: m.algorithms(), Now: func() time.Time { return now.Add(-clockLeeway) },
	})
	claims, err := decodeClaims(raw)
	if err != nil {
		return nil, none, err
	}
	if _, err := verifier.Verify(ctx, raw); err != nil {
		if keys.err != nil { // go-oidc keeps only its text
			return nil, none, keys.err
		}
		return nil, none, p.explainVerify(m, raw, claims, now, "ID token")
	}
	if err := p.checkClaims(claims, now, "ID token"); err != nil {
		return nil, none, err
	}
	nonce, hasNonce := claims["nonce"]
	switch {
	case claims.Subject() == "" || len(claims.Subject()) > 255:
		return nil, none, &UntrustedError{Check: ErrSubject, Detail: "the ID token has no usable sub"}
	case want.subject != "" && claims.Subject() != want.subject:
		return nil, none, &UntrustedError{Check: ErrSubject, Detail: "the renewed ID token is about another person"}
	case !want.renewed && claims.Text("nonce") != want.nonce:
		return nil, none, &UntrustedError{Check: ErrNonce, Detail: "the ID token belongs to another login"}
	case want.renewed && hasNonce && want.nonce != "" && nonce != want.nonce:
		return nil, none, &UntrustedError{Check: ErrNonce, Detail: "the renewed ID token belongs to another login"}
	}
	audience := audiences(claims["aud"])
	azp, hasAZP := claims["azp"]
	switch {
	case len(audience) > 1 && !hasAZP:
		return nil, none, &UntrustedError{Check: ErrAuthorizedParty, Detail: "the ID token is for several audiences and names no authorized party"}
	case hasAZP && azp != p.cfg.ClientID:
		return nil, none, &UntrustedError{Check: ErrAuthorizedParty, Detail: "the ID token was issued to another client"}
	}
	issued := claims.Time("iat")
	switch {
	case issued.IsZero():
		return nil, none, &UntrustedError{Check: ErrIssuedAt, Detail: "the ID token does not say when it was issued"}
	case issued.After(now.Add(clockLeeway)):
		return nil, none, p.futureError(issued.Sub(now), "ID token")
	case !want.renewed && issued.Before(now.Add(-oldestLogin)):
		return nil, none, p.clockError(ErrIssuedAt, "", "the ID token was issued %s ago, long before this login", words.Short(now.Sub(issued)))
	}
	if hash, ok := claims["at_hash"]; ok && !want.accessToken.IsZero() {
		if hash != accessTokenHash(raw, want.accessToken) {
			return nil, none, &UntrustedError{Check: ErrAccessTokenHash, Detail: "the ID token belongs to another access token"}
		}
	}
	authTime := claims.Time("auth_time")
	if want.maxAge > 0 && (authTime.IsZero() || now.Sub(authTime) > want.maxAge+clockLeeway) {
		return nil, none, &UntrustedError{Check: ErrAuthTime, Detail: "the provider did not ask for the authentication again that max_age demands"}
	}
	if !want.authTime.IsZero() && !authTime.IsZero() && !authTime.Equal(want.authTime) {
		return nil, none, &UntrustedError{Check: ErrAuthTime, Detail: "the renewed ID token is of another authentication"}
	}
	if err := p.checkOrganization(claims, want); err != nil {
		return nil, none, err
	}
	return claims, claims.Time("exp"), nil
}

// futureError is about a token that was issued, or is good from, later than now.
func (p *Provider) futureError(ahead time.Duration, what string) error {
	return p.clockError(ErrIssuedAt, ReasonClockProbablyBehind, "the %s was issued %s in the future", what, words.Short(ahead))
}

// clockError is about a token that does not fit this computer's clock. If the Date of the provider's responses does
// not show which clock is off, the reason is otherwise.
func (p *Provider) clockError(check error, otherwise Reason, format string, a ...any) error {
	e := &UntrustedError{Check: check, Detail: fmt.Sprintf(format, a...), Reason: otherwise}
	switch skew := p.skew(); {
	case skew > clockLeeway:
		e.Reason, e.Skew = ReasonClockBehind, skew
	case skew < -clockLeeway:
		e.Reason, e.Skew = ReasonClockAhead, skew
	}
	return e
}

// explainVerify says in our words why go-oidc refused a token.
func (p *Provider) explainVerify(m *Metadata, raw string, claims Claims, now time.Time, what string) error {
	if err := p.checkClaims(claims, now, what); err != nil {
		return err
	}
	if alg := algorithm(raw); !slices.Contains(m.algorithms(), alg) {
		return &UntrustedError{Check: ErrAlgorithm, Reason: ReasonAlgorithm,
			Detail: fmt.Sprintf("the %s is signed with %q, and of what the provider advertises loopkey takes %s",
				what, words.Printable(alg), strings.Join(m.algorithms(), ", "))}
	}
	return &UntrustedError{Check: ErrMalformed, Detail: "the " + what + "'s header or claims are not of their types"}
}

// checkClaims compares what every token for us must say: who made it, for whom, until when.
func (p *Provider) checkClaims(claims Claims, now time.Time, what string) error {
	expiry := claims.Time("exp")
	switch {
	case claims.Text("iss") != p.cfg.Issuer:
		return &UntrustedError{Check: ErrIssuer, Detail: fmt.Sprintf("the %s is from %q, not %q", what, words.Printable(claims.Text("iss")), p.cfg.Issuer)}
	case !slices.Contains(audiences(claims["aud"]), p.cfg.ClientID):
		return &UntrustedError{Check: ErrAudience, Detail: "the " + what + " is for another client", Reason: ReasonOtherClient}
	case claims.Time("nbf").After(now.Add(clockLeeway)):
		return p.futureError(claims.Time("nbf").Sub(now), what)
	case notADate(claims, "nbf"):
		return &UntrustedError{Check: ErrIssuedAt, Detail: "the " + what + " does not say from when on it is good"}
	case expiry.IsZero():
		return &UntrustedError{Check: ErrExpired, Detail: "the " + what + " does not say when it expires"}
	case !expiry.After(now.Add(-clockLeeway)):
		return p.clockError(ErrExpired, ReasonClockProbablyAhead, "the %s expired %s ago", what, words.Short(now.Sub(expiry)))
	}
	return nil
}

// notADate reports whether a claim is there and no moment that there will ever be (RFC 7519, section 2).
func notADate(claims Claims, name string) bool {
	value, told := claims[name]
	n, isNumber := value.(json.Number)
	if !told || isNumber && !claims.Time(name).IsZero() {
		return false
	}
	seconds, err := n.Float64()
	return err != nil || seconds > 0 // the beginning of time, or before it, is none that matters
}

// algorithm is what a JWT's header says of its signature.
func algorithm(raw string) string { return joseHeader(raw).Alg }

// A header is what is read of a JWT's own description of itself.
type header struct {
	Alg string `json:"alg"`
	Typ string `json:"typ"`
}

func joseHeader(raw string) (h header) {
	first, _, _ := strings.Cut(raw, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(decoded, &h) != nil {
		return header{}
	}
	return h
}

// decodeClaims reads a JWT's payload. Nothing in it is believed by that.
func decodeClaims(raw string) (Claims, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the token is no signed JWT"}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the token's payload is not base64url"}
	}
	var claims Claims
	if err := object(payload, &claims); err != nil || claims == nil {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the token's payload is no JSON object"}
	}
	return claims, nil
}

// audiences is aud as a list: RFC 7519, section 4.1.3, lets it be one string.
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

// accessTokenHash is at_hash (OpenID Connect Core 1.0, section 3.1.3.6): the left
// half of the hash that the ID token's algorithm uses.
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
