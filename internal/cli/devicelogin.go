package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

// loginByDevice logs the person in with a code that they enter on another device (RFC 8628), and stores the session.
func (a *app) loginByDevice(ctx context.Context, acc *account, f loginFlags) (*provider.Tokens, error) {
	ctx, cancel := clock.WithTimeoutCause(ctx, f.timeout, loopback.ErrTimeout)
	defer cancel()
	if len(acc.config.Params) > 0 {
		a.say("The profile's params are left out: a login on another device can't carry them.")
	}
	scope, err := acc.provider.LoginScope(ctx, acc.chosenScope())
	if err != nil {
		return nil, deviceError(ctx, err)
	}
	a.sayScope(acc, scope)
	code, err := acc.provider.StartDevice(ctx, scope, acc.config.Audience, acc.furtherAudiences()...)
	if err != nil {
		return nil, deviceError(ctx, err)
	}
	f.gate.begin()
	a.say("On any device, go to:\n%s\nand enter the code:\n%s",
		a.terminal.Link(words.Printable(code.VerificationURI)), a.terminal.Bold(words.Printable(code.UserCode)))
	if code.VerificationURIComplete != "" && a.terminal.ShowQR(code.VerificationURIComplete) {
		a.say("or point a camera at this.")
	}
	defer a.terminal.Wait("Waiting for you on the other device", min(f.timeout, time.Until(code.Expiry)))()
	tokens, err := acc.provider.WaitDevice(ctx, code)
	if err != nil {
		return nil, deviceError(ctx, err)
	}
	if err := a.keepDevice(ctx, acc, tokens); err != nil {
		return nil, err
	}
	return tokens, nil
}

// keepDevice stores what came of a login on another device.
func (a *app) keepDevice(ctx context.Context, acc *account, tokens *provider.Tokens) error {
	defer a.sayStoring(ctx)()
	err := granted.Store(ctx, func(ctx context.Context) error { return a.keep(ctx, acc, tokens, anySubject) })
	if errors.Is(err, loopback.ErrAgain) {
		return errRevokedTogether
	}
	return err
}

var (
	errDeviceTimeout   = errors.New("timeout: the login on the other device was not finished in time")
	errRevokedTogether = fmt.Errorf("%w", login.ErrRevokedTogether) // with an advice of its own
)

// deviceError returns err, or the cause of ctx where that ended the login.
func deviceError(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, loopback.ErrTimeout) {
		if failed := new(provider.UnreachableError); errors.As(err, &failed) { // at a question whether the person is done
			return fmt.Errorf("%w: %w", errDeviceTimeout, failed)
		}
		return errDeviceTimeout
	}
	return cmp.Or(cause, err)
}
