package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

// A browserLogin is a login through a browser, and what the terminal shows of it meanwhile.
type browserLogin struct {
	*app
	account     *account
	flags       loginFlags
	stopWaiting func() // removes the waiting line
	rejected    int    // lines that were pasted and are not the URL
}

// loginByBrowser logs the person in through their browser, and stores the session.
func (a *app) loginByBrowser(ctx context.Context, acc *account, f loginFlags) (*provider.Tokens, error) {
	lines, stopReading := a.pasted(ctx, f.noBrowser)
	defer stopReading()
	b := &browserLogin{app: a, account: acc, flags: f, stopWaiting: func() {}}
	defer func() { b.stopWaiting() }()
	tokens, err := loopback.Login(ctx, loopback.Config{
		AppName:  appName,
		Provider: acc.provider, Scope: acc.config.Scope, Audience: acc.config.Audience,
		BaseURL: acc.config.BaseURL, Timeout: f.timeout, Params: f.params,
		ShowURL:     func(authorizationURL string) { b.show(ctx, authorizationURL) },
		OpenBrowser: b.open, Opened: b.browserOpened,
		Pasted: lines, Rejected: b.reject,
		Store:  b.store,
		Advice: acc.situation().advice,
	})
	if taken := new(loopback.PortTakenError); errors.As(err, &taken) {
		return nil, b.byServer(ctx, err)
	}
	if errors.Is(err, loopback.ErrTimeout) { // a provider that does not know the callback URL sends no response to it
		err = fmt.Errorf("%w (%s)", err, acc.situation().sentence(reasonMaybeCallback))
	}
	return tokens, err
}

// byServer asks the loopkey serve that holds the port to make the login. Where another program holds the port, it
// returns taken.
func (b *browserLogin) byServer(ctx context.Context, taken error) error {
	ctx, cancel := clock.WithTimeoutCause(ctx, b.flags.timeout, loopback.ErrTimeout)
	defer cancel()
	err := b.account.server().Login(ctx, b.flags.params, func(authorizationURL string) {
		b.show(ctx, authorizationURL)
		b.browserOpened(b.open(ctx, authorizationURL))
	})
	if errors.Is(err, handoff.ErrNoServer) {
		return taken
	}
	return err
}

// show shows the URL to log in at.
func (b *browserLogin) show(ctx context.Context, authorizationURL string) {
	if scope, err := b.account.provider.LoginScope(ctx, b.account.config.Scope); err == nil { // from memory, by now
		b.sayScope(b.account, scope)
	}
	if !b.flags.noBrowser {
		b.say("Opening your browser. If nothing opens, go to:")
	}
	b.say("%s", authorizationURL)
	b.sayHowToReach(b.account.config.BaseURL)
	b.stopWaiting = b.terminal.Wait("Waiting for you in the browser", b.flags.timeout)
}

// open opens the URL in the browser, unless the person wants to do that.
func (b *browserLogin) open(ctx context.Context, authorizationURL string) error {
	if b.flags.noBrowser {
		return nil
	}
	return b.browse(ctx, authorizationURL)
}

// browserOpened says that no browser was opened, where err says so.
func (b *browserLogin) browserOpened(err error) {
	if err != nil {
		b.say("No browser was opened (%s): open the URL above yourself.", words.Printable(err.Error()))
	}
}

// reject says why a line is not the URL that the browser ended up at. Of the lines from a pipe it comments on the first
// few.
func (b *browserLogin) reject(reason string) {
	switch b.rejected++; {
	case b.rejected < mostPiped || b.terminal.Interactive():
		b.say("Not that one: %s", words.Printable(reason))
	case b.rejected == mostPiped:
		b.say("None of %d lines was the URL that the browser ended up at. "+
			"More are read, and no more are told of.", b.rejected)
	}
}

func (b *browserLogin) store(ctx context.Context, t *provider.Tokens) error {
	return b.keep(ctx, b.account, t, anySubject)
}
