package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/webui"
)

// webUI returns what the web UI of an account needs.
func (a *app) webUI(acc *account) webui.Config {
	return webui.Config{
		Others: a.otherSessions(acc), Commands: webCommands(acc, "loopkey"), Events: a.lastEvents(acc),
		Checks:  a.checksOnPage,
		Session: acc.session,
		BaseURL: acc.config.BaseURL,
		Scope:   acc.chosenScope(), Audience: acc.config.Audience, Audiences: acc.furtherAudiences(),
		Params: acc.config.Params,
		Store: func(ctx context.Context, t *provider.Tokens, mayReplace func(string) bool) error {
			return a.keep(ctx, acc, t, mayReplace)
		},
		Advice: func(err error) string { return a.situation(acc).advice(err) },
	}
}

// serveUntilEnd serves the web UI, and terminals that ask, until ctx ends, which is no error: Ctrl-C is how a server
// is ended. It calls show when requests can come, and says farewell at the end.
func (a *app) serveUntilEnd(
	ctx context.Context, acc *account, server *webui.Server, listener *localhost.Listener, show func(context.Context),
	farewell string,
) error {
	defer listener.Close()
	listener.TLSHello = func() {
		server.TLSHello()
		a.sayTLSHello(acc)
	}
	if err := private.Dir(acc.config.StateDir); err != nil {
		return fmt.Errorf("the state folder: %w", err)
	}
	terminals, err := handoff.Listen(ctx, acc.server().Socket)
	if err != nil { // the web UI works without it
		sentence, _ := a.explain(err)
		a.say("A login in a terminal and a second loopkey serve can't reach this server: %s", sentence)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	ended := make(chan error, 2)
	go func() { server.Run(serving); ended <- nil }()
	go func() { ended <- listener.Serve(serving, server.Handler()) }()
	// The socket goes before the port does: by then the next server may have a socket of the same name.
	answered := make(chan error, 1)
	go func() { answered <- a.answerTerminals(ctx, acc, server, terminals) }()
	show(ctx)
	var errs []error // the first one to end ends all
	select {
	case err := <-ended:
		errs = append(errs, err)
		stop()
		errs = append(errs, <-answered)
	case err := <-answered:
		errs = append(errs, err)
	}
	stopServing()
	for len(errs) < cap(ended)+cap(answered) {
		errs = append(errs, <-ended)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.say("%s", farewell)
	return nil
}

// answerTerminals has the server do what terminals ask for, until ctx ends. Without a listener nobody asks.
func (a *app) answerTerminals(
	ctx context.Context, acc *account, server *webui.Server, terminals net.Listener,
) error {
	if terminals == nil {
		<-ctx.Done()
		return nil
	}
	return server.AnswerTerminals(ctx, terminals, acc.holder().Setup)
}

// openRunning opens the loopkey serve that holds the port. Where another program holds it, it returns taken. If the
// browser has to read a file first, it waits until the browser was there.
func (a *app) openRunning(ctx context.Context, acc *account, f serveFlags, taken error) error {
	var attending sync.WaitGroup
	defer attending.Wait()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	var shown *oneTimeLink
	var unmet []string
	err := acc.ask(func(port int, server handoff.Client) error {
		return server.Open(waiting, func(opened handoff.Opened) {
			if acc.chooses() {
				acc.usePort(port)
			}
			if unmet = f.unmet(a, acc.config, opened.Serving); len(unmet) > 0 {
				stop()
				return
			}
			a.say("loopkey serve is running already.")
			shown = a.showServer(waiting, acc.config, opened.URL, f.noBrowser)
			if shown.remove == nil {
				stop()
			}
			attending.Go(func() { shown.attend(waiting, nil) })
		})
	})
	switch {
	case len(unmet) > 0:
		return &otherServeError{unmet}
	case shown != nil:
		return ctx.Err()
	case errors.Is(err, handoff.ErrNoServer):
		return taken
	}
	return err
}

// unmet returns the flags whose values the running loopkey serve does not have. Those that were not given want nothing.
func (f serveFlags) unmet(a *app, cfg *config.Config, there handoff.Serving) []string {
	var unmet []string
	for _, flag := range []struct {
		name       string
		given, met bool
	}{
		{"pages", f.pages != "", absolute(f.pages) == there.Pages},
		{"upstream", f.upstream != "", f.upstream == there.Upstream},
		{"pass-access-token", f.passToken, there.PassAccessToken},
		{"allow-remote-upstream", f.allowRemote, there.AllowRemoteUpstream},
		{"audience", a.flags["audience"] != "", cfg.Audience == there.Audience},
		{"scope", a.flags["scope"] != "", cfg.Scope == there.Scope},
		{"param", len(a.params) > 0, cfg.Params.Encode() == there.Params.Encode()},
	} {
		if flag.given && !flag.met {
			unmet = append(unmet, "--"+flag.name)
		}
	}
	return unmet
}

// absolute returns a path that means the same in every folder.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil && path != "" {
		return whole
	}
	return path
}

// An otherServeError says that a loopkey serve is running, without what some flags ask for.
type otherServeError struct{ flags []string }

func (e *otherServeError) Error() string {
	return "loopkey serve is running already, and it runs without " + strings.Join(e.flags, ", ") +
		" as given here"
}

// A oneTimeLink is a one-time URL that was shown and that a browser was asked to open.
type oneTimeLink struct {
	app    *app
	url    string
	asked  bool   // a browser was asked to open it
	remove func() // removes the file that the browser was given; nil: there is none
}

// showServer shows the one-time URL and opens it. Every user of the machine can read the arguments of a browser. So the
// browser gets a form of that URL that works for this user's connections alone, or, where the system does not tell
// whose a connection is, the URL of a private file that redirects. Some browsers can't read such a file.
func (a *app) showServer(ctx context.Context, cfg *config.Config, oneTime string, noBrowser bool) *oneTimeLink {
	a.say("Serving %s. This link works once, for a minute;\n%s in another terminal makes a new one:\n%s",
		cfg.BaseURL, a.situation(a.opened).line("serve"), a.terminal.Link(oneTime))
	link := &oneTimeLink{app: a, url: oneTime}
	if noBrowser {
		return link
	}
	target, err := handoff.OwnURL(oneTime), error(nil)
	if !localhost.TellsOwn(ctx) {
		target, link.remove, err = a.redirectFile(cfg.StateDir, oneTime)
	}
	if err == nil {
		err = a.browse(ctx, target)
	}
	if link.asked = err == nil; link.asked {
		return link
	}
	a.sayUnopened(err, ": open the link yourself.")
	if link.remove != nil {
		link.remove()
		link.remove = nil
	}
	return link
}

// attend waits until the link was used or works no more, or ctx ends. Meanwhile it shows the link once more if no
// browser comes. At its end it removes the browser's file.
func (l *oneTimeLink) attend(ctx context.Context, used <-chan struct{}) {
	if !l.asked {
		return
	}
	if l.remove != nil {
		defer l.remove()
	}
	ctx, cancel := clock.WithTimeoutCause(ctx, handoff.LinkLife, context.DeadlineExceeded)
	defer cancel()
	remind(ctx, used, func() {
		l.app.say("No browser has opened the link yet.\nA browser from snap or flatpak may not be able to read "+
			"what it was given,\nand an editor may have got it: open the link yourself.\n%s", l.app.terminal.Link(l.url))
	})
	if l.remove == nil {
		return
	}
	select {
	case <-used:
	case <-ctx.Done():
	}
}

// remindAfter is how long a browser has to open the link before the terminal shows it again.
const remindAfter = 5 * time.Second

// remind calls show if nobody visits for some seconds. It returns when that is known, or ctx ends.
func remind(ctx context.Context, visited <-chan struct{}, show func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		select {
		case <-visited:
			cancel()
		case <-ctx.Done():
		}
	})
	if clock.Wait(ctx, remindAfter) == nil {
		show()
	}
	cancel()
}
