package cli

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

// A byCode is a login with a code that is entered on another device (RFC 8628), beside a login through the browser that
// can't be opened here. The first of the two that the provider grants is stored, and ends the other. A second grant is
// dropped: it is in no store, and to revoke its refresh token might end the grant of the first.
type byCode struct {
	end     context.CancelCauseFunc // ends the login through the browser, with a codeResult
	stop    context.CancelFunc      // ends the polling
	polling context.Context         //nolint:containedctx // of the polling, which begins later, if it does
	begun   sync.Once
	running sync.WaitGroup

	mu  sync.Mutex
	won string // the way that was granted first; "": none was yet
}

// The two ways of a login.
const (
	wayBrowser = "browser"
	wayCode    = "code"
)

// A codeResult ends a login through the browser: the other way was granted first.
type codeResult struct {
	tokens *provider.Tokens
	err    error // why they could not be stored; nil: they are
}

func (r *codeResult) Error() string { return "the login was made on another device" }

// errCodeFirst says that a response of the browser came after the other way had been granted.
var errCodeFirst = errors.New("this login was finished with the code on another device meanwhile, and that one counts")

// newByCode returns a login with a code that has not begun, and the context of the one through the browser.
func newByCode(ctx context.Context) (*byCode, context.Context) {
	ctx, end := context.WithCancelCause(ctx)
	polling, stop := context.WithCancel(ctx)
	return &byCode{end: end, stop: stop, polling: polling}, ctx
}

// close ends the polling, and waits for its end.
func (c *byCode) close() {
	c.stop()
	c.running.Wait()
	c.end(nil)
}

// wins reports whether a way is the first to be granted.
func (c *byCode) wins(way string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.won == "" {
		c.won = way
	}
	return c.won == way
}

// byBrowser reports whether the grant of the browser comes first. Then the polling ends.
func (c *byCode) byBrowser() bool {
	if !c.wins(wayBrowser) {
		return false
	}
	c.stop()
	return true
}

// noBrowserHere returns why no browser can be opened here, or nil.
func (a *app) noBrowserHere() error {
	if a.openBrowser != nil {
		return nil
	}
	_, err := loopback.BrowserName()
	return err
}

// maybeByCode reports whether a login with a code may go on beside the one through the browser. It carries no
// parameters, and a wish that is dropped in silence would seem to be granted. Without a person at the terminal the code
// would be shown to whoever reads the output. Nor is one shown of a provider that ./.env names: it could pass on the
// code of another, honest provider, for a login of its own.
func (b *browserLogin) maybeByCode(ctx context.Context) bool {
	ours := 0 // parameters that the person did not ask for
	if b.choosing {
		ours = 1
	}
	asked := len(b.wanted.Params) > ours || b.wanted.Beside || !b.wanted.Need.IsZero()
	return !b.account.config.CompletedByDotEnv() && !b.flags.noBrowser && !b.shared && b.flow != nil && !asked &&
		(b.terminal.Interactive() || terminal.Is(b.stderr)) && b.account.provider.OffersDevice(ctx)
}

// beginByCode begins the login with a code, once, where that may go on.
func (b *browserLogin) beginByCode(ctx context.Context) {
	if !b.maybeByCode(ctx) {
		return
	}
	b.code.begun.Do(func() { b.code.running.Go(func() { b.logInByCode(b.code.polling) }) })
}

// logInByCode shows a code, waits until it was entered, and stores the session. What fails here ends nothing: the other
// way is still open.
func (b *browserLogin) logInByCode(ctx context.Context) {
	acc := b.account
	scope, err := acc.provider.LoginScope(ctx, acc.chosenScope())
	if err != nil {
		return
	}
	code, err := acc.provider.StartDevice(ctx, scope, acc.config.Audience, acc.furtherAudiences()...)
	if err != nil { // the client may not have that grant: then there is one way
		if log := b.trace(); log != nil {
			log.Debug("no code for another device", "failed", err)
		}
		return
	}
	b.say("Or with a code, on any device: go to\n%s\nand enter\n%s\nWhichever is done first counts.\n"+
		"Enter no code that somebody sends you, and give this one to nobody.",
		words.Printable(code.VerificationURI), b.terminal.Bold(words.Printable(code.UserCode)))
	tokens, err := acc.provider.WaitDevice(ctx, code)
	switch {
	case ctx.Err() != nil && err != nil:
		return
	case err != nil:
		b.say("The code works no more (%s). The other way is still open.", words.Printable(err.Error()))
		return
	case !b.code.wins(wayCode):
		return
	}
	b.code.end(&codeResult{tokens, b.keepDevice(ctx, acc, tokens)})
}

// isByCode returns what came of the login with a code, if that is how a login through the browser ended.
func (b *browserLogin) isByCode(ctx context.Context, err error) (*codeResult, bool) {
	result := new(codeResult)
	if errors.Is(err, errCodeFirst) { // it is being stored
		b.code.running.Wait()
		err = context.Cause(ctx)
	}
	return result, errors.As(err, &result)
}

// loggedInSince reports whether another process has logged the person in since then.
func (b *browserLogin) loggedInSince(ctx context.Context, began time.Time) bool {
	info, err := b.account.session.Info(ctx)
	return err == nil && info.LoggedInAt.After(began)
}
