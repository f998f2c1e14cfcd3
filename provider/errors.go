package provider

import "errors"

// States that a caller tells apart with errors.Is.
var (
	// ErrUntrusted: what the provider sent failed verification. The errors below it name the check and wrap it.
	ErrUntrusted = errors.New("what the provider sent failed verification")
	// ErrRefused: the provider answered, and said no. A *RefusedError says how.
	ErrRefused = errors.New("the provider refused")
	// ErrInvalidGrant: the refresh token (or the code) is expired, revoked or was used before. Wraps ErrRefused.
	ErrInvalidGrant = errors.New("invalid_grant")
	// ErrUnreachable: no answer, or one that says nothing of the request (5xx, 429): the session is not touched by it.
	ErrUnreachable = errors.New("the provider can't be reached")
	// ErrNoEndpoint: the provider has no such endpoint (revocation, end session, device).
	ErrNoEndpoint = errors.New("the provider has no such endpoint")
	// ErrConfig: the issuer or the client can't be used as configured.
	ErrConfig = errors.New("configuration")
)

// A RefusedError is a provider's error answer, in our words (RFC 6749, sections 4.1.2.1 and 5.2).
// What came from outside in it is printable: no control characters, bounded length.
type RefusedError struct {
	Code        string // invalid_grant, access_denied …; "" where the provider gave none
	Description string // the provider's own words, may be empty
	Status      int    // HTTP status; 0 for an error that came through the browser
	Reason      Reason // why, where it is understood; else ""
}

func (e *RefusedError) Error() string {
	s := "the provider refused"
	if e.Code != "" {
		s += ": " + e.Code
	}
	if e.Description != "" {
		s += ": " + e.Description
	}
	return s
}

// Is makes a RefusedError match ErrRefused, and ErrInvalidGrant by its code.
func (e *RefusedError) Is(target error) bool {
	return target == ErrRefused || target == ErrInvalidGrant && e.Code == "invalid_grant"
}
