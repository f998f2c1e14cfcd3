package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// endProviderSession has the person's browser end the provider's session (OpenID Connect RP-Initiated Logout 1.0).
func (a *app) endProviderSession(ctx context.Context, acc *account, ended session.Ended, state string, f logoutFlags, report *logoutReport) {
	switch {
	case errors.Is(ended.EndSessionError, provider.ErrNoEndpoint):
		report.did("the provider's own session goes on (it has no logout page)")
		return
	case ended.EndSessionError != nil:
		report.not("the provider's session was not ended (" + words.Printable(ended.EndSessionError.Error()) + ")")
		return
	case noAnswer(ended.RevokeError):
		report.not("the provider's session was not ended (it can't be reached)")
		return
	case f.noBrowser:
		a.say("To end the provider's session too, open:\n%s", ended.EndSessionPlainURL)
		report.did("the provider's session ends when that page is opened")
		return
	}
	if u, err := url.Parse(ended.EndSessionURL); err != nil || u.Query().Get("state") == "" {
		state = "" // Auth0's /v2/logout sends none back
	}
	how, err := a.leave(ctx, acc, handoff.Logout{URL: ended.EndSessionURL, PlainURL: ended.EndSessionPlainURL, State: state})
	taken := new(loopback.PortTakenError)
	switch {
	case err == nil:
		report.did(how)
	case errors.As(err, &taken):
		report.not(fmt.Sprintf("the provider's session may not have ended (port %d is taken, so its answer could not be awaited)", taken.Port))
	case errors.Is(err, loopback.ErrTimeout):
		report.not("the provider's session may not have ended (its page did not come back: is " +
			acc.config.BaseURL + " among the allowed logout URLs?)")
	default:
		report.not("the provider's session may not have ended (" + words.Printable(err.Error()) + ")")
	}
}

// leave leads the browser to the provider's logout and back, by the server that holds our port where that is loopkey
// serve, else by one of its own. It returns what has come of it.
func (a *app) leave(ctx context.Context, acc *account, l handoff.Logout) (how string, err error) {
	opened := func(target string, err error) {
		if err != nil {
			a.say("No browser was opened (%s). To end the provider's session, go to:", words.Printable(err.Error()))
		} else {
			a.say("Ending the provider's session in your browser. If nothing opens, go to:")
		}
		a.say("%s", target)
	}
	waiting, cancel := clock.WithTimeoutCause(ctx, time.Minute, loopback.ErrTimeout)
	defer cancel()
	how, shown := "the provider's session ended", false
	err = acc.server().Logout(waiting, l, func(target string) {
		shown = true
		opened(target, a.browse(waiting, target))
	})
	if shown && l.State == "" { // a browser that comes back to a server of many pages is not told from others
		how = "the provider's session ends in your browser"
	}
	if err == nil || shown || ctx.Err() != nil {
		return how, err
	}
	// No server, or not one for this session: where it holds the port, that is told.
	return how, loopback.EndSession(ctx, loopback.EndSessionConfig{
		AppName: appName, BaseURL: acc.config.BaseURL, URL: l.URL, PlainURL: l.PlainURL, State: l.State, OpenBrowser: a.browse, Opened: opened,
		Private: func(target string) (string, error) { return redirectFile(acc.config.StateDir, target) },
	})
}

// noAnswer reports whether there was nobody to talk to: then the browser will find nobody either.
func noAnswer(err error) bool {
	e, ok := errors.AsType[*provider.UnreachableError](err)
	return ok && e.Status == 0
}
