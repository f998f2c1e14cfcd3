package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// The demo's person, client and API.
const (
	demoClient   = "loopkey-demo"
	demoAPI      = "https://api.demo.example/"
	demoEmail    = "ada@demo.example"
	demoPassword = "analytical-engine"
)

func (a *app) demo() *cobra.Command {
	var f struct{ once, noBrowser bool }
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try loopkey without an account",
		Long: `Starts an OpenID provider of its own on this machine and logs you in to it, through
the very code of a real login. The session stays in memory; nothing is left behind.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runDemo(cmd.Context(), f.once, f.noBrowser)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.once, "once", false, "run without a person: log in, show each step, log out, end")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the URL instead of opening it")
	return cmd
}

func (a *app) runDemo(ctx context.Context, once, noBrowser bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := a.demoDir()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	a.say("This is a demo: an OpenID provider of its own runs inside this command,\nand everything ends with it.")
	d := &demo{app: a, dir: dir, noBrowser: noBrowser}
	if err := d.start(ctx); err != nil {
		return err
	}
	defer d.close()
	if once {
		return d.once(ctx)
	}
	return d.play(ctx)
}

// play serves the web UI, logs the person in through their browser, and lets them try the rest.
func (d *demo) play(ctx context.Context) error {
	a := d.app
	acc, err := a.account(keychainLimitPerson)
	if err != nil {
		return err
	}
	pages := filepath.Join(d.dir, "pages")
	if err := writeDemoPages(pages); err != nil {
		return err
	}
	logins := make(chan *provider.Tokens, 1) // the first one is greeted
	ui := a.webUI(acc)
	ui.Pages = pages
	line, program := d.export()
	ui.Others, ui.Checks, ui.Commands = nil, nil, webCommands(acc, program)
	ui.Commands[0].Lines = append([]webui.Command{{What: "First, so that loopkey knows of the demo", Code: line}},
		ui.Commands[0].Lines...)
	store := ui.Store
	ui.Store = func(ctx context.Context, t *provider.Tokens, mayReplace func(string) bool) error {
		err := store(ctx, t, mayReplace)
		if err == nil {
			select {
			case logins <- t:
			default:
			}
		}
		return err
	}
	server, err := webui.New(ctx, ui)
	if err != nil {
		return err
	}
	listener, err := localhost.Listen(ctx, acc.config.BaseURL)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var greeting sync.WaitGroup
	defer greeting.Wait()
	farewell := "The demo has ended, and nothing of it is left. `loopkey setup` begins with a provider of yours."
	if a.terminal.Interactive() {
		farewell = "\n" + farewell // after the terminal's ^C
	}
	err = a.serveUntilEnd(ctx, acc, server, listener, func(ctx context.Context) {
		d.open(ctx, acc.config.BaseURL)
		greeting.Go(func() {
			if err := d.greetFirst(ctx, acc, logins); err != nil {
				stop(err)
			}
		})
	}, farewell)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// open opens the page where the demo begins. Its URL is no secret: the server gets to know the browser at the login.
func (d *demo) open(ctx context.Context, baseURL string) {
	a := d.app
	start := localurl.At(baseURL, "/auth/login")
	if d.noBrowser {
		a.say("\nOpen this page, and press \"Continue as Ada Lovelace\":\n%s", a.terminal.Link(start))
		return
	}
	a.say("\nYour browser opens: press \"Continue as Ada Lovelace\". If nothing opens, go to:\n%s", a.terminal.Link(start))
	if err := a.browse(ctx, start); err != nil {
		a.sayUnopened(err, ": open the URL above yourself.")
	}
}

// greetFirst waits for the first login, and shows the token that came of it and how to play with it.
func (d *demo) greetFirst(ctx context.Context, acc *account, logins <-chan *provider.Tokens) error {
	a := d.app
	select {
	case <-ctx.Done():
		return nil
	case t := <-logins:
		a.say("")
		a.greet(acc, t)
	}
	token, err := acc.session.AccessToken(ctx, session.Request{})
	if err != nil {
		return err
	}
	a.say("\nThis is it, for the demo's API:")
	if _, err := fmt.Fprintln(a.stdout, token.Token.Reveal()); err != nil {
		return notWritten(err)
	}
	line, program := d.export()
	a.say("\nTo go on in another terminal, run there:\n  %s\nand then, for example:", line)
	for _, example := range [][2]string{
		{"token", "a fresh token, as above"},
		{"token --force-refresh", "a new one from the provider"},
		{"status", "who is logged in"},
		{"exec -- env", "a command that has ACCESS_TOKEN"},
		{"logout", "ends the session, here and at the provider"},
	} {
		a.say("  %-*s  # %s", len(program)+len(" token --force-refresh"), program+" "+example[0], example[1])
	}
	a.say("\nThe page in your browser has more. Ctrl-C ends the demo.")
	return nil
}

// once logs in, renews and logs out without a person: an HTTP client fills in the tenant's pages.
func (d *demo) once(ctx context.Context) error {
	a := d.app
	a.say("1. A tenant runs at %s.", d.tenant.Issuer())
	acc, err := a.account(keychainLimitPerson)
	if err != nil {
		return err
	}
	visits := make(chan error, 2) // a login's and a logout's
	visit := func(ctx context.Context, target string) error {
		ctx = context.WithoutCancel(ctx) // a browser still loads its page when the login is done
		go func() {
			_, err := tenant.Person{Email: demoEmail, Password: demoPassword}.Visit(ctx, target)
			visits <- err
		}()
		return nil
	}
	a.openBrowser, a.visited = visit, true
	a.say("2. A login, as a person's browser would do it:")
	tokens, _, err := a.authenticate(ctx, acc, loginFlags{timeout: time.Minute})
	if err != nil {
		return err
	}
	if err := <-visits; err != nil {
		return fmt.Errorf("the demo's browser: %w", err)
	}
	a.greet(acc, tokens)
	a.say("3. Status and claims, from the session in memory:")
	if err := d.show(ctx, acc); err != nil {
		return err
	}
	a.say("4. A renewal: one request with the refresh token, which the tenant rotates.")
	before := d.tenant.Requests("token")
	if _, err := acc.session.AccessToken(ctx, session.Request{Force: true}); err != nil {
		return err
	}
	a.say("   %d request.", d.tenant.Requests("token")-before)
	a.say("5. Logout:")
	if err := a.runLogout(ctx, logoutFlags{}); err != nil {
		return err
	}
	if err := <-visits; err != nil {
		return fmt.Errorf("the demo's browser: %w", err)
	}
	if _, err := acc.session.Info(ctx); !errors.Is(err, session.ErrNotLoggedIn) {
		return errors.New("the demo's session outlived its logout")
	}
	a.say("Done: nothing is left behind.")
	return nil
}

// show prints the status and the claims of the access token. Those are meant for the API; here a person may be curious.
func (d *demo) show(ctx context.Context, acc *account) error {
	info, err := acc.session.Info(ctx)
	if err != nil {
		return err
	}
	if err := d.app.printStatus(info, ""); err != nil {
		return err
	}
	token, err := acc.session.AccessToken(ctx, session.Request{})
	if err != nil {
		return err
	}
	parts := strings.Split(token.Token.Reveal(), ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("the demo's access token: %w", err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, payload, "  ", "  "); err != nil {
		return fmt.Errorf("the demo's access token: %w", err)
	}
	_, err = fmt.Fprintf(d.app.stdout, "\nClaims of the access token:\n  %s\n", pretty.String())
	return err
}
