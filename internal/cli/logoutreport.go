package cli

import (
	"errors"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A logoutReport collects the parts of the one line that says what a logout did.
type logoutReport struct {
	parts  []string
	failed bool // a part says what could not be done
}

// did adds something that was done, or did not have to be.
func (r *logoutReport) did(part string) { r.parts = append(r.parts, part) }

// not adds something that could not be done.
func (r *logoutReport) not(part string) {
	r.parts = append(r.parts, part)
	r.failed = true
}

// revocation adds what became of the refresh token.
func (r *logoutReport) revocation(ended session.Ended) {
	switch {
	case !ended.HadRefresh:
		r.did("no refresh token to revoke")
	case ended.Revoked:
		r.did("refresh token revoked")
	case errors.Is(ended.RevokeError, provider.ErrNoEndpoint):
		r.did("refresh token not revoked (the provider has no revocation)")
	default:
		r.not("refresh token NOT revoked (" + words.Printable(ended.RevokeError.Error()) + ")")
	}
}

// A partlyError is what went wrong in several logouts. It was said already, but its exit code still counts.
type partlyError struct{ error }

func (e *partlyError) Unwrap() []error { return []error{errPartly, e.error} }
