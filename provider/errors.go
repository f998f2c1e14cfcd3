package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// What an error of this package is about, for errors.Is.
var (
	// ErrUntrusted says that what the provider sent failed verification. An *UntrustedError says which check, by one of
	// the errors below that wrap this one.
	ErrUntrusted = errors.New("what the provider sent failed verification")
	// ErrRefused says that the provider refused the request. A *RefusedError holds the provider's words.
	ErrRefused = errors.New("the provider refused")
	// ErrInvalidGrant says that the refresh token or the code is expired, revoked, or was used before. It is a refusal.
	ErrInvalidGrant = errors.New("invalid_grant")
	// ErrUnreachable says that there was no response, or one that says nothing about the request (5xx, 429). The session
	// may live on. An *UnreachableError says why.
	ErrUnreachable = errors.New("the provider can't be reached")
	// ErrNoEndpoint says that the provider has no endpoint for revocation, the end of a session, devices or registration.
	ErrNoEndpoint = errors.New("the provider has no such endpoint")
	// ErrConfig says that the issuer or the client can't be used as configured.
	ErrConfig = errors.New("configuration")
	// ErrPublicClient says that the client has nothing by which it authenticates, and so gets no token for itself
	// (RFC 6749, section 4.4). It wraps ErrConfig.
	ErrPublicClient error = &configError{
		text: "the client has no secret and no key, and without them it gets no token for itself",
	}
	// ErrUnboundGrant says that Config.DPoP wants tokens that are bound to the key of a login, and that there is no login
	// in this grant: what it brings would be good for whoever has it. It wraps ErrConfig.
	ErrUnboundGrant error = &configError{text: "tokens without a login are bound to no key (DPoP)"}
	// ErrNoVault says that the provider is none that keeps the tokens of other providers. It wraps ErrConfig.
	ErrNoVault error = &configError{text: "tokens of a connection are kept by Auth0 alone"}
	// ErrTwoProofs says that the client has a secret or a key of its own beside the assertion by which it was to
	// authenticate. It wraps ErrConfig.
	ErrTwoProofs error = &configError{text: "the client has a secret or a key, beside the assertion of another issuer"}
)

// A configError says what can't be done as the client is configured. It wraps ErrConfig.
type configError struct {
	reason Reason // "": the error is a sentinel
	text   string
}

func (e *configError) Error() string { return ErrConfig.Error() + ": " + e.text }

// Unwrap returns ErrConfig.
func (e *configError) Unwrap() error { return ErrConfig }

// Diagnosis returns e's reason.
func (e *configError) Diagnosis() Diagnosis { return Diagnosis{Reason: e.reason} }

// The checks that a token or a response can fail, for errors.Is. Each wraps ErrUntrusted.
var (
	ErrIssuer          error = checkError("issuer")
	ErrAudience        error = checkError("audience")
	ErrNonce           error = checkError("nonce")
	ErrSignature       error = checkError("signature")
	ErrAlgorithm       error = checkError("signature algorithm")
	ErrExpired         error = checkError("expiry")
	ErrIssuedAt        error = checkError("issued at")
	ErrAuthorizedParty error = checkError("authorized party")
	ErrAccessTokenHash error = checkError("access token hash")
	ErrSubject         error = checkError("subject")
	ErrAuthTime        error = checkError("authentication time")
	ErrACR             error = checkError("authentication context")
	ErrOrganization    error = checkError("organization")
	ErrTokenType       error = checkError("token type")
	ErrKeyBinding      error = checkError("key binding")
	ErrMalformed       error = checkError("form")
)

// A checkError is the error of a check that failed. A variable of it is ready when the program starts; fmt.Errorf would
// make each in every run.
type checkError string

func (c checkError) Error() string { return ErrUntrusted.Error() + ": " + string(c) }

// Unwrap returns ErrUntrusted.
func (checkError) Unwrap() error { return ErrUntrusted }

// An UntrustedError says, for errors.As, which check failed. It wraps Check, which wraps ErrUntrusted.
type UntrustedError struct {
	Check  error         // ErrIssuer, ErrAudience …
	Reason Reason        // why, where more is known than Check says; else ""
	Issuer string        // with ReasonIssuerName: what the provider calls itself, in its own words
	Skew   time.Duration // with ReasonClockBehind and ReasonClockAhead: the provider's clock less this computer's

	detail string // what did not fit; printable, never a token
}

func (e *UntrustedError) Error() string { return e.Check.Error() + ": " + e.detail }

// Unwrap returns the check.
func (e *UntrustedError) Unwrap() error { return e.Check }

// malformed returns an error that wraps ErrMalformed.
func malformed(format string, a ...any) error {
	return &UntrustedError{Check: ErrMalformed, detail: fmt.Sprintf(format, a...)}
}

// A RefusedError is, for errors.As, an error response of the provider (RFC 6749, sections 4.1.2.1 and 5.2). Its texts
// are printable: they have no control characters and a bounded length. It is ErrRefused.
type RefusedError struct {
	Code   string // invalid_grant, access_denied …; "": the provider gave none
	Status int    // of HTTP; 0: the error came through the browser
	Reason Reason // why, where it is understood; else ""
	Issuer string // with ReasonDiscoveryMoved: the issuer that it leads to

	description string // the provider's words; may be empty
	methods     string // of a client that was not recognised: how clients may authenticate, by discovery
}

func (e *RefusedError) Error() string {
	s := "the provider refused"
	if e.Code != "" {
		s += ": " + e.Code
	}
	if what := strings.TrimRight(e.description, ". "); what != "" && what != e.Code { // what is to be done may follow
		s += ": " + what
	}
	return s
}

// Is makes a RefusedError match ErrRefused, and ErrInvalidGrant by its code.
func (e *RefusedError) Is(target error) bool {
	return target == ErrRefused || target == ErrInvalidGrant && e.Code == "invalid_grant"
}

// An AudienceError says, for errors.As, that the provider sent a token for another API than the one that was asked for.
// It wraps ErrAudience.
type AudienceError struct {
	Asked  string
	Reason Reason // which request asked

	got []string // the token's; foreign text
}

func (e *AudienceError) Error() string {
	got := "nobody"
	if len(e.got) > 0 {
		got = words.Printable(strings.Join(e.got, ", "))
	}
	return fmt.Sprintf("%v: the access token is for %s, not for %s", ErrAudience, got, words.Printable(e.Asked))
}

// Unwrap returns ErrAudience.
func (e *AudienceError) Unwrap() error { return ErrAudience }

// An UnreachableError says that a request got no response, or one that says nothing about the request. It wraps
// ErrUnreachable.
type UnreachableError struct {
	Host       string
	Why        string
	Status     int           // of a 5xx or 429; else 0
	RetryAfter time.Duration // the time that the provider asks to wait, for callers that try again; 0: none
	Reason     Reason        // why, where more can be done about it than to try again later; else ""
	Proxy      string        // with ReasonProxyLogin: the proxy's host and port

	maybeSent bool // the request may have been acted on, though no response came
	mayRepeat bool // the request was not acted on, and the provider said when it may be repeated
}

func (e *UnreachableError) Error() string {
	return "the provider at " + e.Host + " can't be reached: " + e.Why
}

// Unwrap returns ErrUnreachable.
func (e *UnreachableError) Unwrap() error { return ErrUnreachable }

// An unusableError is about a response that can't be used, to a request that may have been acted on.
type unusableError struct{ cause error }

func (e *unusableError) Error() string { return e.cause.Error() }

func (e *unusableError) Unwrap() error { return e.cause }

// MaybeSent reports whether the request that failed may have been acted on all the same. Then a refresh token that was
// sent may be used up.
func MaybeSent(err error) bool {
	if errors.As(err, new(*unusableError)) {
		return true
	}
	var e *UnreachableError
	return errors.As(err, &e) && e.maybeSent
}
