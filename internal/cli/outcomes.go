package cli

import (
	"context"
	"errors"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// Exit codes, as the README promises them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotLoggedIn = 3
	exitRefused     = 4
	exitKeychain    = 5
	exitInterrupted = 130
)

var (
	errUsage       = errors.New("usage")
	errInterrupted = errors.New("interrupted")
	errPartly      = errors.New("not everything could be done")
)

// outcomes turns errors into exit codes and advice: the first row that errors.Is
// finds. An advice of the error itself goes before the row's.
func outcomes() []outcome {
	return []outcome{
		{errInterrupted, exitInterrupted, ""},
		{context.Canceled, exitInterrupted, ""},
		{errUsage, exitUsage, ""},
		{config.ErrInvalid, exitUsage, ""},
		{provider.ErrConfig, exitUsage, ""},
		{session.ErrNotLoggedIn, exitNotLoggedIn, "run loopkey login"},
		{session.ErrCannotRenew, exitNotLoggedIn, "run loopkey login"},
		{keystore.ErrUnavailable, exitKeychain, "unlock the keychain, or use --keystore file"},
		{keystore.ErrCorrupt, exitFailed, "run loopkey login for a new session, or loopkey logout to delete this one"},
		{provider.ErrUntrusted, exitRefused, "check --issuer and --client-id; nothing was stored"},
		{provider.ErrRefused, exitRefused, ""},
		{provider.ErrUnreachable, exitFailed, "try again when the provider can be reached; the session is kept"},
		{provider.ErrNoEndpoint, exitFailed, "run loopkey login without --device"}, // a logout goes on without its endpoints
		{loopback.ErrTimeout, exitFailed, "run loopkey login again; --timeout gives more time"},
		{errDeviceTimeout, exitFailed, "run loopkey login --device again; --timeout gives more time"},
		{session.ErrLocked, exitFailed, "try again when it is done"},
	}
}

type outcome struct {
	is     error
	code   int
	advice string
}

// An exitError carries the exit code of a command that loopkey ran for the person, and nothing to say.
type exitError struct{ code int }

func (e *exitError) Error() string { return "" }

// report says on stderr what failed, why and what to do next, and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	code, next := judge(err)
	switch {
	case errors.Is(err, errPartly): // already said, each with its reason
	case next == "":
		a.say("loopkey: %s", words.Printable(err.Error()))
	default:
		a.say("loopkey: %s: %s", words.Printable(err.Error()), next)
	}
	return code
}

func judge(err error) (code int, next string) {
	code = exitFailed
	for _, o := range outcomes() {
		if errors.Is(err, o.is) {
			code, next = o.code, o.advice
			break
		}
	}
	if own := advice(err); own != "" {
		next = own
	}
	return code, next
}

// advice is what the error itself knows of the way out.
func advice(err error) string {
	if e, ok := errors.AsType[*session.AudienceError](err); ok {
		return "run loopkey login --audience " + words.Printable(e.Audience)
	}
	if e, ok := errors.AsType[*keystore.UnavailableError](err); ok {
		return e.Next
	}
	if e, ok := errors.AsType[*webui.HandOffError](err); ok {
		return e.Advice
	}
	return provider.Next(err)
}
