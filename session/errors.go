package session

import (
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// States of a session that a caller tells apart with errors.Is.
var (
	// ErrNotLoggedIn says that there is no session. It is never said because the keystore could not be asked.
	ErrNotLoggedIn = errors.New("nobody is logged in")
	// ErrCannotRenew says that there is a session, and that only a new login gets another token. The errors that follow
	// up to ErrNoIDToken wrap it, as AudienceError does.
	ErrCannotRenew = errors.New("the session can't be renewed")
	// ErrRefreshRefused says that the provider refused the refresh token: it is expired, revoked, or was used twice.
	ErrRefreshRefused error = notRenewableError("the provider no longer accepts its refresh token")
	// ErrNoRefreshToken says that the login brought no refresh token.
	ErrNoRefreshToken error = notRenewableError("the login brought no refresh token (offline_access was not granted)")
	// ErrExpired says that the session reached the end that the provider set for it.
	ErrExpired error = notRenewableError("it reached the end that the provider set for it")
	// ErrTooOld and ErrIdle say that the session reached a limit of its own (Limits).
	ErrTooOld error = notRenewableError("it reached the age that was set for it at the login")
	ErrIdle   error = notRenewableError("it was not used for as long as was set for it at the login")
	// ErrClockBefore says that a session with limits was made or used at a time which, by this machine's clock, is yet to
	// come. So nobody can tell whether it reached one of them.
	ErrClockBefore error = notRenewableError("by this computer's clock it was used in the future")
	// ErrNoIDToken says that the ID token has expired and the provider sends none on renewal.
	ErrNoIDToken error = notRenewableError("its ID token has expired and the provider sends none on renewal")
	// ErrStepUp says that the session's authentication does not do for what was asked for: see StepUpError.
	ErrStepUp error = notRenewableError("it takes another authentication")
	// ErrAnotherFactor says that the provider demands another factor before it renews the session: Auth0's mfa_required.
	ErrAnotherFactor error = notRenewableError("the provider demands another factor first (mfa_required)")
	// ErrKeystore is keystore.ErrUnavailable, for callers that know no keystores. A *keystore.UnavailableError says why.
	ErrKeystore = keystore.ErrUnavailable
	// ErrSomebodyElse says that a login would have replaced the session of another subject.
	ErrSomebodyElse = errors.New("somebody else is logged in")
	// ErrAnotherUser says that a step-up was made by another user than the session's, or in another organization.
	ErrAnotherUser = errors.New("another user than the one who is logged in has authenticated")
	// ErrUnfinished says that a renewal came to no result that is of use to this caller. Asking again may help.
	ErrUnfinished = errors.New("the renewal came to no result")
	// ErrStale says that a new access token had expired when it came, by this machine's clock.
	ErrStale = errors.New("the provider's new access token had expired when it came")
	// ErrLocked says that another process held the session's lock for too long.
	ErrLocked = errors.New("another loopkey process is busy with this session")
)

// A notRenewableError is why a session can't be renewed. A variable of it is ready when the program starts.
type notRenewableError string

func (e notRenewableError) Error() string { return ErrCannotRenew.Error() + ": " + string(e) }

// Unwrap returns ErrCannotRenew.
func (notRenewableError) Unwrap() error { return ErrCannotRenew }

// What Config.Notice is called with.
var (
	// ErrReplyLost says that the response to the last renewal was lost, so that its refresh token is used once more.
	// A provider that replaces refresh tokens may take that for theft and end the session.
	ErrReplyLost = errors.New(
		"the provider's response to the last renewal was lost, so its refresh token is used once more")
	// ErrNotNoted says that Config.Known could not be recorded in StateDir.
	ErrNotNoted = errors.New("it could not be recorded which client is logged in")
)

// An AudienceError says that the login brought no token for an audience, and that asking this provider for one could
// end the session. It wraps ErrCannotRenew.
type AudienceError struct{ Audience string }

func (e *AudienceError) Error() string {
	return fmt.Sprintf("the login brought no token for audience %q", e.Audience)
}

// Unwrap returns ErrCannotRenew.
func (e *AudienceError) Unwrap() error { return ErrCannotRenew }

// A ScopeError says, for errors.As, that the provider granted less than all of Request.Scope. It wraps
// provider.ErrRefused.
type ScopeError struct{ Missing, Granted string }

func (e *ScopeError) Error() string {
	return fmt.Sprintf("the provider did not grant scope %q (it granted %q)", e.Missing, e.Granted)
}

// Unwrap returns provider.ErrRefused.
func (e *ScopeError) Unwrap() error { return provider.ErrRefused }
