package cli

import (
	"context"
	"errors"
	"net/url"
	"sync"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
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
			a.serveFlags = f.again(a.params)
			return a.runServe(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.pages, "pages", "", "a folder to serve under /pages/ to logged-in users")
	flags.StringVar(&f.upstream, "upstream", "", "a local server to put behind the guard, such as http://localhost:5173")
	flags.BoolVar(&f.passToken, "pass-access-token", false, "send the upstream a fresh access token as Authorization")
	flags.BoolVar(&f.allowRemote, "allow-remote-upstream", false, "let the upstream be on another machine")
	a.paramFlag(flags)
	a.browserFlags(flags)
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the one-time URL instead of opening it")
	return cmd
}

// again returns the flags of a loopkey serve that it needs to be started anew as it was. params are those of --param.
func (f *serveFlags) again(params []string) []string {
	var flags []string
	add := func(given bool, flag string) {
		if given {
			flags = append(flags, flag)
		}
	}
	add(f.pages != "", "--pages "+quote(f.pages))
	upstream := "URL" // one with a password is refused, and not shown
	if u, err := url.Parse(f.upstream); err == nil && u.User == nil {
		upstream = quote(f.upstream)
	}
	add(f.upstream != "", "--upstream "+upstream)
	add(f.passToken, "--pass-access-token")
	add(f.allowRemote, "--allow-remote-upstream")
	for _, param := range params {
		add(true, "--param "+quote(param))
	}
	add(f.noBrowser, "--no-browser")
	return flags
}

func (a *app) runServe(ctx context.Context, f serveFlags) error {
	cfg, err := a.clientConfig()
	if err != nil {
		return err
	}
	if err := cfg.Needs("audience", "scope", "base-url"); err != nil {
		return err
	}
	acc, err := a.open(cfg, keychainLimitPerson)
	if err != nil {
		return err
	}
	if _, err := acc.store.Head(ctx, acc.session.Name()); errors.Is(err, keystore.ErrUnavailable) {
		return err
	}
	f.pages = absolute(f.pages)
	endTurn, err := a.portTurn(ctx, acc)
	if err != nil {
		return err
	}
	defer endTurn()
	if acc.chooses() { // a loopkey serve that holds one of the ports comes before a free one
		if err := a.openRunning(ctx, acc, f, handoff.ErrNoServer); !errors.Is(err, handoff.ErrNoServer) {
			return err
		}
	}
	listener, _, listenErr := localhost.ListenFirst(ctx, cfg.Ports()...)
	if listenErr == nil {
		defer listener.Close()
		if acc.chooses() {
			acc.usePort(listener.Port())
		}
	}
	ui := a.webUI(acc)
	ui.Pages, ui.Upstream, ui.PassAccessToken, ui.AllowRemoteUpstream = f.pages, f.upstream, f.passToken, f.allowRemote
	server, err := webui.New(ctx, ui)
	if err != nil {
		return usageError(err)
	}
	if errors.As(listenErr, new(*loopback.PortTakenError)) {
		return a.openRunning(ctx, acc, f, listenErr)
	}
	if listenErr != nil {
		return listenErr
	}
	if f.passToken { // which token it is changes with each renewal
		a.recorder(cfg, "serve --pass-access-token", f.upstream).noteUse()
	}
	var opening sync.WaitGroup
	defer opening.Wait()
	return a.serveUntilEnd(ctx, acc, server, listener, func(ctx context.Context) {
		endTurn() // who comes now finds this server
		if f.upstream != "" {
			a.say("%s shows the app. The pages of loopkey begin at %s", cfg.BaseURL, server.HomeURL())
		}
		oneTime, used := server.OneTimeURL()
		link := a.showServer(ctx, cfg, oneTime, f.noBrowser)
		a.say("Ctrl-C ends the server.")
		opening.Go(func() { link.attend(ctx, used) })
	}, a.stopped(acc))
}

// stopped is what a server says at its end.
func (a *app) stopped(acc *account) string {
	at := a.situation(acc)
	begin := ""
	if a.terminal.Interactive() {
		begin = "\n" // after the terminal's ^C
	}
	return begin + "Stopped serving. The session stays: " +
		at.line("status") + " shows it, " + at.line("logout") + " ends it."
}
