package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/webui"
)

// webHint is a sentence on the web UI's start page.
const webHint = "In a terminal, `loopkey token` gives your tools a fresh access token, " +
	"and `loopkey logout` ends this session everywhere."

// webUI returns what the web UI of an account needs.
func (a *app) webUI(acc *account) webui.Config {
	return webui.Config{
		Session: acc.session,
		BaseURL: acc.config.BaseURL,
		Scope:   acc.config.Scope, Audience: acc.config.Audience, Params: acc.config.Params,
		Store: func(ctx context.Context, t *provider.Tokens, mayReplace func(string) bool) error {
			return a.keep(ctx, acc, t, mayReplace)
		},
		Advice: acc.situation().advice, Hint: webHint,
	}
}

// serveUntilEnd serves the web UI, and terminals that ask, until ctx ends, which is no error: Ctrl-C is how a server
// is ended. It calls show when requests can come, and says farewell at the end.
func (a *app) serveUntilEnd(
	ctx context.Context, acc *account, server *webui.Server, listener *localhost.Listener, show func(context.Context),
	farewell string,
) error {
	defer listener.Close()
	if err := private.Dir(acc.config.StateDir); err != nil {
		return fmt.Errorf("the state folder: %w", err)
	}
	terminals, err := handoff.Listen(ctx, acc.server().Socket)
	if err != nil { // the web UI works without it
		a.say("loopkey login and a second loopkey serve can't reach this server: %s", words.Printable(err.Error()))
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	services := []func() error{
		func() error { server.Run(ctx); return nil },
		func() error { return listener.Serve(ctx, server.Handler()) },
	}
	if terminals != nil {
		services = append(services, func() error { return server.AnswerTerminals(ctx, terminals) })
	}
	ended := make(chan error, len(services))
	for _, service := range services {
		go func() { ended <- service() }()
	}
	show(ctx)
	errs := []error{<-ended} // the first one to end ends all
	stop()
	for len(errs) < cap(ended) {
		errs = append(errs, <-ended)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	a.say("%s", farewell)
	return nil
}

// openRunning opens the loopkey serve that holds the port. Where another program holds it, it returns taken.
func (a *app) openRunning(ctx context.Context, acc *account, f serveFlags, taken error) error {
	oneTime, err := acc.server().OneTimeURL(ctx)
	if errors.Is(err, handoff.ErrNoServer) {
		return taken
	}
	if err != nil {
		return err
	}
	a.say("loopkey serve is running already.")
	a.showServer(ctx, acc.config, oneTime, f.noBrowser)
	return nil
}

// showServer shows the one-time URL and opens it. Every user of the machine can read the arguments of a browser, so the
// browser gets the URL of a private file that redirects.
func (a *app) showServer(ctx context.Context, cfg *config.Config, oneTime string, noBrowser bool) {
	a.say("Serving %s. This link works once, for a minute; loopkey serve in another terminal makes a new one:\n%s",
		cfg.BaseURL, oneTime)
	if noBrowser {
		return
	}
	target, err := redirectFile(cfg.StateDir, oneTime)
	if err == nil {
		err = a.browse(ctx, target)
	}
	if err != nil {
		a.say("No browser was opened (%s): open the link yourself.", words.Printable(err.Error()))
	}
}
