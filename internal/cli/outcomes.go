package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/loopkey/loopkey/internal/agent"
	"github.com/loopkey/loopkey/internal/ci"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/internal/newprofile"
	"github.com/loopkey/loopkey/internal/sts"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
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
	errDeclined    = errors.New("declined") // the person said no to a question
	errInterrupted = errors.New("interrupted")
	errPartly      = errors.New("not everything could be done")
)

// outcomes turns errors into exit codes: the first row that errors.Is finds.
func outcomes() []outcome {
	return []outcome{
		{errInterrupted, exitInterrupted},
		{context.Canceled, exitInterrupted},
		{errUsage, exitUsage},
		{errDeclined, exitUsage},
		{config.ErrInvalid, exitUsage},
		{credential.ErrUnlisted, exitUsage},
		{credential.ErrInput, exitUsage},
		{credential.ErrLate, exitFailed},
		{agent.ErrNotAllowed, exitUsage},
		{agent.ErrOtherProfile, exitUsage},
		{sts.ErrRequest, exitUsage},
		{newprofile.ErrTeam, exitUsage},
		{provider.ErrPublicClient, exitUsage},
		{provider.ErrUnboundGrant, exitUsage},
		{provider.ErrTwoProofs, exitUsage},
		{provider.ErrNoVault, exitUsage},
		{provider.ErrConfig, exitUsage},
		{ci.ErrNoPermission, exitUsage},
		{ci.ErrNoVariable, exitUsage},
		{ci.ErrUntrusted, exitRefused},
		{ci.ErrOtherAudience, exitUsage},
		{ci.ErrRefused, exitRefused},
		{ci.ErrUnavailable, exitFailed},
		{ci.ErrSetup, exitUsage},
		{errNoBearer, exitRefused},
		{errLessScope, exitRefused},
		{mcp.ErrURL, exitUsage},
		{mcp.ErrHeader, exitUsage},
		{mcp.ErrNoClient, exitUsage},
		{mcp.ErrLoginNeeded, exitNotLoggedIn},
		{mcp.ErrTokenRefused, exitRefused},
		{mcp.ErrScopeRefused, exitRefused},
		{mcp.ErrAuthenticationRefused, exitRefused},
		{mcp.ErrMetadata, exitRefused},
		{mcp.ErrNoReply, exitFailed},
		{mcp.ErrBusy, exitFailed},
		{session.ErrNotLoggedIn, exitNotLoggedIn},
		{session.ErrCannotRenew, exitNotLoggedIn},
		{session.ErrAnotherUser, exitRefused},
		{session.ErrBound, exitUsage},
		{errNotBound, exitUsage},
		{keystore.ErrUnavailable, exitKeychain},
		{keystore.ErrCorrupt, exitFailed},
		{sts.ErrRefused, exitRefused},
		{sts.ErrUnavailable, exitFailed},
		{provider.ErrUntrusted, exitRefused},
		{provider.ErrRefused, exitRefused},
		{provider.ErrUnreachable, exitFailed},
		{provider.ErrNoEndpoint, exitFailed}, // a logout goes on without its endpoints
		{loopback.ErrTimeout, exitFailed},
		{errDeviceTimeout, exitFailed},
		{session.ErrLocked, exitFailed},
	}
}

// usageError makes err an error of usage. One that is, or is about the configuration, says so already.
func usageError(err error) error {
	if errors.Is(err, errUsage) || errors.Is(err, config.ErrInvalid) || errors.Is(err, provider.ErrConfig) {
		return err
	}
	return fmt.Errorf("%w: %w", errUsage, err)
}

type outcome struct {
	is   error
	code int
}

// An exitError carries the exit code of a command that loopkey ran for the person, and nothing to say.
type exitError struct{ code int }

func (e *exitError) Error() string { return "" }

// report says on stderr what failed, why and what to do next, and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	if exit := new(exitError); errors.As(err, &exit) {
		return exit.code
	}
	sentence, code := a.explain(err)
	if !errors.Is(err, errPartly) { // said already
		a.say("loopkey: %s", sentence)
	}
	return code
}

// explain returns what failed, why and what to do next, and the exit code.
func (a *app) explain(err error) (sentence string, code int) {
	code, next := a.judge(err)
	sentence = words.Printable(err.Error())
	if next != "" {
		sentence += ": " + next
	}
	return sentence, code
}

// isKind reports whether a sentinel stands for all errors of a kind, with an exit code of its own.
func isKind(sentinel error) bool {
	return slices.ContainsFunc(outcomes(), func(o outcome) bool { return o.is == sentinel }) //nolint:errorlint // itself
}

// judge returns the exit code, and what the person can do. What the error itself knows is preferred to what is so of
// all errors of its kind.
func (a *app) judge(err error) (code int, next string) {
	at := a.situation(a.opened)
	said := errors.As(err, new(*agent.Failure)) // what can be done, by the agent, which knows the session
	for _, o := range outcomes() {
		if errors.Is(err, o.is) {
			if said {
				return o.code, ""
			}
			if o.is == session.ErrNotLoggedIn && a.opened != nil && a.opened.elsewhere != "" { //nolint:errorlint // the row
				return o.code, "the session is in the keystore " + words.Printable(a.opened.elsewhere) + ": leave --keystore out"
			}
			return o.code, cmp.Or(at.advice(err), at.sentence(o.is))
		}
	}
	if said {
		return exitFailed, ""
	}
	return exitFailed, at.advice(err)
}

// notice tells the person what a session says that is no failure, and what to do about it.
func (a *app) notice(err error) {
	at, text := a.situation(a.opened), words.Printable(err.Error())
	if errors.Is(err, session.ErrReplyLost) {
		a.say("loopkey: %s. %s", text, at.sentence(session.ErrReplyLost))
		return
	}
	for _, kind := range []error{session.ErrNotNoted, session.ErrNotKept} {
		if errors.Is(err, kind) {
			a.say("loopkey: %s: %s", text, at.sentence(kind))
			return
		}
	}
}
