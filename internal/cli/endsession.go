package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// endProviderSession has the person's browser end the provider's session (OpenID Connect RP-Initiated Logout 1.0).
func (a *app) endProviderSession(
	ctx context.Context, acc *account, ended session.Ended, state string, f logoutFlags, report *logoutReport,
) {
	switch {
	case errors.Is(ended.EndSessionError, provider.ErrNoEndpoint):
		report.did("the provider keeps its own session (it has no logout page)")
		return
	case ended.EndSessionError != nil:
		report.not("the provider's session was not ended (" + words.Printable(ended.EndSessionError.Error()) + ")")
		return
	case noResponse(ended.RevokeError):
		report.not("the provider's session was not ended (it can't be reached)")
		return
	case f.noBrowser:
		a.say("To end the provider's session too, open:\n%s", a.terminal.Link(ended.EndSessionPlainURL))
		report.did("the provider's session ends when that page is opened")
		return
	}
	if u, err := url.Parse(ended.EndSessionURL); err != nil || u.Query().Get("state") == "" {
		state = "" // Auth0's /v2/logout does not send it back
	}
	how, err := a.leave(ctx, acc, handoff.Logout{
		URL: ended.EndSessionURL, PlainURL: ended.EndSessionPlainURL, State: state,
	})
	taken, unopened := new(loopback.PortTakenError), new(unopenedError)
	switch {
	case err == nil:
		report.did(how)
	case errors.Is(err, loopback.ErrNoState):
		report.did("your browser came back from the provider's logout")
	case errors.As(err, &unopened): // then it is as with --no-browser
		a.sayUnopened(unopened, ". To end the provider's session too, open:\n"+
			a.terminal.Link(ended.EndSessionPlainURL))
		report.did("the provider's session ends when that page is opened")
	case ctx.Err() != nil && environ.OverSSH(a.env): // the end that was announced: then it is as with --no-browser
		report.did("the provider's session ends when that page is opened")
	case ctx.Err() != nil:
		report.not("the provider's session may not have ended (interrupted)")
	case errors.Is(err, loopback.ErrNoVisit):
		report.not("the provider's session may not have ended (no browser came to the link above" +
			a.situation(acc).came(err, "") + ")")
	case errors.As(err, &taken):
		report.not(fmt.Sprintf("the provider's session may not have ended (port %d is taken, "+
			"so loopkey could not see the browser come back)", taken.Port))
	case errors.Is(err, loopback.ErrTimeout):
		at := a.situation(acc)
		report.not("the provider's session may not have ended (its page did not come back" +
			at.came(err, ": "+at.sentence(reasonMaybeLogoutURL)) + ")")
	default:
		report.not("the provider's session may not have ended (" + words.Printable(err.Error()) + ")")
	}
}

// came returns what came in place of a browser that a logout waited for, and what to do about it; otherwise if nothing
// came.
func (at situation) came(err error, otherwise string) string {
	timeout := new(loopback.TimeoutError)
	if !errors.As(err, &timeout) || timeout.Saw == "" {
		return otherwise
	}
	why := ": " + timeout.Saw.Why()
	if next := at.sentence(timeout.Saw); next != "" {
		why += ": " + next
	}
	return why
}

// logoutLimit is how long a logout waits for the browser.
const logoutLimit = time.Minute

// An unopenedError says that no browser was opened, so that none can come back.
type unopenedError struct{ error }

func (e *unopenedError) Unwrap() error { return e.error }

// leave sends the browser to the provider's logout and waits until it comes back: to the loopkey serve that holds the
// port, else to a server of its own. It returns what a report says of that.
func (a *app) leave(ctx context.Context, acc *account, l handoff.Logout) (how string, err error) {
	waiting, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	l.Timeout = logoutLimit
	gone := make(chan struct{})
	left := sync.OnceFunc(func() { close(gone) })
	var reminding sync.WaitGroup
	defer func() {
		left()
		reminding.Wait()
	}()
	leaving := func(target string, err error) {
		if err != nil {
			giveUp(&unopenedError{err})
			return
		}
		a.leaving(target, l.PlainURL)
		reminding.Go(func() {
			remind(waiting, gone, func() {
				a.say("No browser has opened the link yet.\nIt may not be able to, or an editor may have got the link: "+
					"open it yourself.\n%s", a.terminal.Link(target))
			})
		})
	}
	how, shown := "the provider's session ended", false
	err = acc.server().Logout(waiting, l, handoff.Leaving{Left: left, Show: func(target string) {
		shown = true
		leaving(target, a.browse(waiting, target))
	}})
	if shown && l.State == "" { // without it, loopkey serve can't tell the browser that comes back from any other
		how = "the provider's session ends in your browser"
	}
	if err == nil || shown || ctx.Err() != nil {
		return how, err
	}
	remove := func() {}
	defer func() { remove() }()
	// There is no loopkey serve, or one with another session: if that one holds the port, EndSession says so.
	err = loopback.EndSession(waiting, loopback.EndSessionConfig{
		AppName: appName, BaseURL: acc.config.BaseURL, URL: l.URL, PlainURL: l.PlainURL, State: l.State,
		Timeout:     logoutLimit,
		OpenBrowser: a.browse, Opened: leaving, Left: left, TLSHello: func() { a.sayTLSHello(acc) },
		Private: func(target string) (string, error) {
			file, done, err := a.redirectFile(acc.config.StateDir, target)
			if err == nil {
				remove = done
			}
			return file, err
		},
	})
	if cause := context.Cause(waiting); errors.As(cause, new(*unopenedError)) {
		err = cause
	}
	return how, err
}

// leaving shows the URL that ends the provider's session, in the browser that was opened and, for one on another
// machine, as plainURL.
func (a *app) leaving(target, plainURL string) {
	if a.visited {
		a.say("Opening %s", a.terminal.Link(target))
		return
	}
	a.say("Ending the provider's session in your browser. If nothing opens, go to:\n%s", a.terminal.Link(target))
	if environ.OverSSH(a.env) {
		a.say("This is an SSH session. If your browser is on your own machine, open there\nand end this with Ctrl-C:\n%s",
			a.terminal.Link(plainURL))
	}
}

// noResponse reports whether the provider sent no response at all. A browser would get none either.
func noResponse(err error) bool {
	var e *provider.UnreachableError
	return errors.As(err, &e) && e.Status == 0
}
