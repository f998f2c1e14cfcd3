package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/webui"
)

type serveFlags struct {
	pages, upstream        string
	passToken, allowRemote bool
	noBrowser              bool
}

func (a *app) serve() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the local web UI, and what it protects",
		Long: `Serves the user, protected pages and, if asked, an app behind the same guard, on
localhost alone. The browser that it opens is recognised; any other has to log in.`,
		Example: `  loopkey serve --pages ./handbook
  loopkey serve --upstream http://localhost:5173 --pass-access-token`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runServe(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.pages, "pages", "", "a folder to serve under /pages/ to whom is logged in")
	flags.StringVar(&f.upstream, "upstream", "", "a local server to put behind the guard, such as http://localhost:5173")
	flags.BoolVar(&f.passToken, "pass-access-token", false, "send the upstream a fresh access token as Authorization")
	flags.BoolVar(&f.allowRemote, "allow-remote-upstream", false, "let the upstream be on another machine")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the one-time URL instead of opening it")
	return cmd
}

func (a *app) runServe(ctx context.Context, f serveFlags) error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	if err := recall(cfg); err != nil {
		return err
	}
	acc, err := a.open(cfg, keychainLimitPerson)
	if err != nil {
		return err
	}
	if _, err := acc.store.Head(ctx, acc.session.Name()); errors.Is(err, keystore.ErrUnavailable) {
		return err
	}
	server, err := webui.New(ctx, webui.Config{
		Session: acc.session, Provider: acc.provider, BaseURL: cfg.BaseURL, Scope: cfg.Scope, Audience: cfg.Audience,
		Store: func(ctx context.Context, t *provider.Tokens, mayReplace func(string) bool) error {
			return a.keep(ctx, acc, t, mayReplace)
		},
		Advice: acc.situation().advice, Hint: webHint,
		Pages: f.pages, Upstream: f.upstream, PassAccessToken: f.passToken, AllowRemoteUpstream: f.allowRemote,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	listener, err := localhost.Listen(ctx, cfg.BaseURL)
	if taken := new(loopback.PortTakenError); errors.As(err, &taken) {
		return a.openRunning(ctx, acc, f, err)
	}
	if err != nil {
		return err
	}
	return a.serveUntilEnd(ctx, acc, server, listener, func(ctx context.Context) {
		a.showServer(ctx, cfg, server.OneTimeURL(), f.noBrowser)
	})
}

// webHint is what the web UI says on its start page of the commands in a terminal.
const webHint = "In a terminal, `loopkey token` gives your tools a fresh access token, " +
	"and `loopkey logout` ends this session everywhere."

// serveUntilEnd serves until ctx ends; show is called when the first request can come.
func (a *app) serveUntilEnd(ctx context.Context, acc *account, server *webui.Server, listener *localhost.Listener, show func(context.Context)) error {
	defer listener.Close()
	if err := private.Dir(acc.config.StateDir); err != nil {
		return fmt.Errorf("the state folder: %w", err)
	}
	terminals, err := handoff.Listen(ctx, acc.server().Socket)
	if err != nil { // what a person sees in the browser needs no socket
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
	errs := []error{<-ended} // with the first one, all end
	stop()
	for len(errs) < cap(ended) {
		errs = append(errs, <-ended)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errInterrupted
}

// openRunning opens the server that already holds the port, if it is ours.
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

// showServer opens the one-time URL. Argument lists are everybody's to read, so the
// browser is given a file of the person's that leads there.
func (a *app) showServer(ctx context.Context, cfg *config.Config, oneTime string, noBrowser bool) {
	a.say("Serving %s. This link works once, for a minute; loopkey serve in another terminal makes a new one:", cfg.BaseURL)
	a.say("%s", oneTime)
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
