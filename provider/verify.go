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

// An untrusted error names the check, what did not fit, and what to do about it.
type untrusted struct {
	check        error
	detail, next string
}

func (e *untrusted) Error() string { return e.check.Error() + ": " + e.detail }
func (e *untrusted) Unwrap() error { return e.check }

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
		return nil, none, &untrusted{check: ErrMalformed, detail: "the ID token is no signed JWT"}
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
		return nil, none, &untrusted{check: ErrSubject, detail: "the ID token has no usable sub"}
	case want.subject != "" && claims.Subject() != want.subject:
		return nil, none, &untrusted{check: ErrSubject, detail: "the renewed ID token is about another person"}
	case !want.renewed && claims.Text("nonce") != want.nonce:
		return nil, none, &untrusted{check: ErrNonce, detail: "the ID token belongs to another login"}
	case want.renewed && hasNonce && want.nonce != "" && nonce != want.nonce:
		return nil, none, &untrusted{check: ErrNonce, detail: "the renewed ID token belongs to another login"}
	}
	audience := audiences(claims["aud"])
	azp, hasAZP := claims["azp"]
	switch {
	case len(audience) > 1 && !hasAZP:
		return nil, none, &untrusted{check: ErrAuthorizedParty, detail: "the ID token is for several audiences and names no authorized party"}
	case hasAZP && azp != p.cfg.ClientID:
		return nil, none, &untrusted{check: ErrAuthorizedParty, detail: "the ID token was issued to another client"}
	}
	issued := claims.Time("iat")
	switch {
	case issued.IsZero():
		return nil, none, &untrusted{check: ErrIssuedAt, detail: "the ID token does not say when it was issued"}
	case issued.After(now.Add(clockLeeway)):
		return nil, none, p.clockError(issued.Sub(now), "ID token")
	case !want.renewed && issued.Before(now.Add(-oldestLogin)):
		return nil, none, &untrusted{ErrIssuedAt, fmt.Sprintf("the ID token was issued %s ago, long before this login", words.Short(now.Sub(issued))), p.clockAdvice("")}
	}
	if hash, ok := claims["at_hash"]; ok && !want.accessToken.IsZero() {
		if hash != accessTokenHash(raw, want.accessToken) {
			return nil, none, &untrusted{check: ErrAccessTokenHash, detail: "the ID token belongs to another access token"}
		}
	}
	authTime := claims.Time("auth_time")
	if want.maxAge > 0 && (authTime.IsZero() || now.Sub(authTime) > want.maxAge+clockLeeway) {
		return nil, none, &untrusted{check: ErrAuthTime, detail: "the provider did not ask for the authentication again that max_age demands"}
	}
	if !want.authTime.IsZero() && !authTime.IsZero() && !authTime.Equal(want.authTime) {
		return nil, none, &untrusted{check: ErrAuthTime, detail: "the renewed ID token is of another authentication"}
	}
	if err := p.checkOrganization(claims, want); err != nil {
		return nil, none, err
	}
	return claims, claims.Time("exp"), nil
}

func (p *Provider) clockError(ahead time.Duration, what string) error {
	return &untrusted{ErrIssuedAt, fmt.Sprintf("the %s was issued %s in the future", what, words.Short(ahead)),
		p.clockAdvice("this computer's clock may be behind by that much: set it")}
}

// clockAdvice says how far the clocks are apart, as the Date of the provider's answers
// tells it, or otherwise when they tell nothing of the kind.
func (p *Provider) clockAdvice(otherwise string) string {
	switch skew := p.skew(); {
	case skew > clockLeeway:
		return fmt.Sprintf("this computer's clock is %s behind the provider's: set it", words.Short(skew))
	case skew < -clockLeeway:
		return fmt.Sprintf("this computer's clock is %s ahead of the provider's: set it", words.Short(-skew))
	}
	return otherwise
}

// explainVerify says in our words why go-oidc refused a token.
func (p *Provider) explainVerify(m *Metadata, raw string, claims Claims, now time.Time, what string) error {
	if err := p.checkClaims(claims, now, what); err != nil {
		return err
	}
	if alg := algorithm(raw); !slices.Contains(m.algorithms(), alg) {
		return &untrusted{ErrAlgorithm, fmt.Sprintf("the %s is signed with %q, and of what the provider advertises loopkey takes %s",
			what, words.Printable(alg), strings.Join(m.algorithms(), ", ")), "set the client's signature algorithm to one of these"}
	}
	return &untrusted{check: ErrMalformed, detail: "the " + what + "'s header or claims are not of their types"}
}

// checkClaims compares what every token for us must say: who made it, for whom, until when.
func (p *Provider) checkClaims(claims Claims, now time.Time, what string) error {
	expiry := claims.Time("exp")
	switch {
	case claims.Text("iss") != p.cfg.Issuer:
		return &untrusted{ErrIssuer, fmt.Sprintf("the %s is from %q, not %q", what, words.Printable(claims.Text("iss")), p.cfg.Issuer), ""}
	case !slices.Contains(audiences(claims["aud"]), p.cfg.ClientID):
		return &untrusted{ErrAudience, "the " + what + " is for another client", "check --client-id"}
	case claims.Time("nbf").After(now.Add(clockLeeway)):
		return p.clockError(claims.Time("nbf").Sub(now), what)
	case notADate(claims, "nbf"):
		return &untrusted{check: ErrIssuedAt, detail: "the " + what + " does not say from when on it is good"}
	case expiry.IsZero():
		return &untrusted{check: ErrExpired, detail: "the " + what + " does not say when it expires"}
	case !expiry.After(now.Add(-clockLeeway)):
		return &untrusted{ErrExpired, fmt.Sprintf("the %s expired %s ago", what, words.Short(now.Sub(expiry))),
			p.clockAdvice("if this computer's clock is ahead by that much, set it")}
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
		return nil, &untrusted{check: ErrMalformed, detail: "the token is no signed JWT"}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, &untrusted{check: ErrMalformed, detail: "the token's payload is not base64url"}
	}
	var claims Claims
	if err := object(payload, &claims); err != nil || claims == nil {
		return nil, &untrusted{check: ErrMalformed, detail: "the token's payload is no JSON object"}
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
