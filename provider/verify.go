package provider

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/words"
)

const (
	clockLeeway = time.Minute    // how far this computer's clock and the provider's may be apart
	oldestLogin = 24 * time.Hour // the ID token of a login that was just made is not older
)

// A candidate is a signed JWT that claims to be from the provider and for the client. It is believed once every check
// of its list has passed.
type candidate struct {
	p          *Provider
	kind       string // "ID token" or "logout token", for messages
	raw        string
	claims     Claims
	algorithms []string // those that the signature may be made with
	now        time.Time
	want       idTokenExpectation // of an ID token

	signature error // why none of the provider's keys verified the signature; nil also if go-oidc refused it unread
	verdict   error // go-oidc's refusal; nil: go-oidc verified the signature, and all that it checks of the claims
}

// A check returns an error that wraps the sentinel that the check is named after, or nil if the candidate passes.
type check func(*candidate) error

// candidate decodes a JWT. Nothing in it is believed yet.
func (p *Provider) candidate(kind, raw string) (*candidate, error) {
	if strings.Count(raw, ".") != 2 || len(raw) > maxToken {
		return nil, malformed("the %s is no signed JWT", kind)
	}
	claims, err := decodeClaims(raw)
	if err != nil {
		return nil, err
	}
	return &candidate{p: p, kind: kind, raw: raw, claims: claims, now: p.now()}, nil
}

// hear lets go-oidc verify the candidate by verify, and keeps what it says. Its checks of the claims are made once more
// by checks of ours: its errors are texts, and it takes a claim "ISS" for iss.
func (c *candidate) hear(keys *keySet, verify func(*oidc.IDTokenVerifier) error) {
	c.algorithms = keys.algorithms
	c.verdict = verify(oidc.NewVerifier(c.p.cfg.Issuer, keys, &oidc.Config{
		ClientID: c.p.cfg.ClientID, SupportedSigningAlgs: keys.algorithms,
		Now: func() time.Time { return c.now.Add(-clockLeeway) },
	}))
	c.signature = keys.err
}

// pass makes the checks in their order and returns the error of the first that fails.
func (c *candidate) pass(checks []check) error {
	for _, check := range checks {
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

// refuse returns the error of a check that failed.
func (c *candidate) refuse(check error, format string, a ...any) *UntrustedError {
	return &UntrustedError{Check: check, detail: fmt.Sprintf(format, a...)}
}

// The checks that ID tokens and logout tokens have in common follow. The sections are OpenID Connect Core's.

// checkIssuer compares iss to the letter (section 3.1.3.7, step 2).
func (c *candidate) checkIssuer() error {
	if iss := c.claims.Text("iss"); !c.p.isIssuer(iss) {
		return c.refuse(ErrIssuer, "the %s is from %q, not %q", c.kind, words.Printable(iss), c.p.cfg.Issuer)
	}
	return nil
}

// checkAudience wants the client in aud (step 3).
func (c *candidate) checkAudience() error {
	if !slices.Contains(audiences(c.claims["aud"]), c.p.cfg.ClientID) {
		detail := "the " + c.kind + " is for another client"
		return &UntrustedError{Check: ErrAudience, detail: detail, Reason: ReasonOtherClient}
	}
	return nil
}

// checkSignature wants a signature by a key of the provider (step 6). The error says so if the keys could not be had.
func (c *candidate) checkSignature() error { return c.signature }

// checkAlgorithm wants an asymmetric algorithm that the provider advertises (steps 7 and 8).
func (c *candidate) checkAlgorithm() error {
	if alg := algorithm(c.raw); !slices.Contains(c.algorithms, alg) {
		return algorithmError(c.kind, alg, c.algorithms)
	}
	return nil
}

// checkExpiry wants an exp that has not passed (step 9).
func (c *candidate) checkExpiry() error {
	expiry := c.claims.Time("exp")
	switch {
	case expiry.IsZero():
		return c.refuse(ErrExpired, "the %s does not say when it expires", c.kind)
	case !expiry.After(c.now.Add(-clockLeeway)):
		ago := words.Short(c.now.Sub(expiry))
		return c.p.clockError(ErrExpired, ReasonClockProbablyAhead, "the %s expired %s ago", c.kind, ago)
	}
	return nil
}

// notBefore wants an nbf, if there is one, that has passed (RFC 7519, section 4.1.5). It is part of the check of iat.
func (c *candidate) notBefore() error {
	switch nbf := c.claims.Time("nbf"); {
	case nbf.After(c.now.Add(clockLeeway)):
		return c.futureError(nbf)
	case notADate(c.claims, "nbf"):
		return c.refuse(ErrIssuedAt, "the %s does not say from when on it is good", c.kind)
	}
	return nil
}

// checkForm refuses what go-oidc refuses for a reason that no check before this one names: a header or a claim that is
// not of its JSON type (section 2). After this check go-oidc has verified the signature.
func (c *candidate) checkForm() error {
	if c.verdict != nil {
		return c.refuse(ErrMalformed, "the %s's header or claims are not of their types", c.kind)
	}
	return nil
}

// futureError is about a token that was issued, or is good from, later than now.
func (c *candidate) futureError(at time.Time) error {
	ahead := words.Short(at.Sub(c.now))
	return c.p.clockError(ErrIssuedAt, ReasonClockProbablyBehind, "the %s was issued %s in the future", c.kind, ahead)
}

// clockError is about a token that does not fit this computer's clock. If the Date of the provider's responses does
// not show which clock is off, the reason is otherwise.
func (p *Provider) clockError(check error, otherwise Reason, format string, a ...any) error {
	e := &UntrustedError{Check: check, detail: fmt.Sprintf(format, a...), Reason: otherwise}
	switch skew := p.skew(); {
	case skew > clockLeeway:
		e.Reason, e.Skew = ReasonClockBehind, skew
	case skew < -clockLeeway:
		e.Reason, e.Skew = ReasonClockAhead, skew
	}
	return e
}

// algorithmError is about a token that is signed with an algorithm that is not accepted.
func algorithmError(kind, alg string, accepted []string) error {
	reason := ReasonAlgorithm
	if alg == "none" {
		reason = ReasonUnsigned
	}
	return &UntrustedError{
		Check: ErrAlgorithm, Reason: reason,
		detail: fmt.Sprintf("the %s is signed with %q, and of what the provider advertises only %s is accepted",
			kind, words.Printable(alg), strings.Join(accepted, ", ")),
	}
}
