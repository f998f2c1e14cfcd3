package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

type loginFlags struct {
	noBrowser, device bool
	timeout           time.Duration
	params            url.Values
}

// loginParams are the flags that become parameters of the authorization request.
var loginParams = []struct{ flag, param, usage string }{
	{"prompt", "prompt", "login, consent or select_account: what the provider shall ask"},
	{"organization", "organization", "Auth0 organization to log in to"},
	{"invitation", "invitation", "Auth0 organization invitation"},
	{"connection", "connection", "Auth0 connection to log in with"},
	{"login-hint", "login_hint", "who is logging in, such as an email address"},
	{"screen-hint", "screen_hint", "signup shows Auth0's sign-up page"},
	{"acr-values", "acr_values", "how strongly to authenticate"},
	{"max-age", "max_age", "seconds since the last authentication, at most"},
	{"ui-locales", "ui_locales", "languages for the provider's pages"},
}

func (a *app) login() *cobra.Command {
	f := loginFlags{params: url.Values{}}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in through your browser",
		Long: `Opens your browser at the provider, receives its answer on localhost, verifies it
and stores the session. The final URL of the browser may also be pasted here.`,
		Example: `  loopkey login --domain acme.eu.auth0.com --client-id s6BhdRkqt3
  loopkey login --issuer https://accounts.example.com --client-id cli --no-browser`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, p := range loginParams {
				if f.device && cmd.Flags().Changed(p.flag) { // a wish that nobody was told of would seem to be granted
					return fmt.Errorf("%w: --device can't carry --%s (RFC 8628 has no such parameter): leave one of them out", errUsage, p.flag)
				}
				if value, _ := cmd.Flags().GetString(p.flag); value != "" {
					f.params.Set(p.param, value)
				}
			}
			return a.runLogin(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the URL instead of opening it")
	flags.BoolVar(&f.device, "device", false, "log in on another device with a code (RFC 8628)")
	flags.DurationVar(&f.timeout, "timeout", 3*time.Minute, "how long to wait for you")
	for _, p := range loginParams {
		flags.String(p.flag, "", p.usage)
	}
	return cmd
}

func (a *app) runLogin(ctx context.Context, f loginFlags) error {
	if f.timeout <= 0 {
		return fmt.Errorf("%w: --timeout is %s: it must be positive", errUsage, f.timeout)
	}
	if age := f.params.Get("max_age"); age != "" {
		if seconds, err := strconv.Atoi(age); err != nil || seconds < 0 {
			return fmt.Errorf("%w: --max-age is %q: it is a number of seconds", errUsage, age)
		}
	}
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	if err := cfg.CompleteForLogin(); err != nil {
		return err
	}
	acc, err := a.open(cfg, keychainLimitPerson)
	if err != nil {
		return err
	}
	for _, note := range cfg.Notes() {
		a.say("%s", note)
	}
	release, err := acc.session.Storable(ctx)
	if errors.Is(err, keystore.ErrCorrupt) {
		a.say("The stored session can't be read; this login replaces it.")
	} else if err != nil {
		return err
	}
	tokens, err := a.authenticate(ctx, acc, f)
	if err != nil {
		release()
		return err
	}
	if tokens == nil { // the server stored them
		info, err := acc.session.Info(ctx)
		if err != nil {
			return err
		}
		a.say("Logged in as %s at %s, through loopkey serve.", words.NameAndEmail(info.Claims), acc.config.Issuer)
		return nil
	}
	a.greet(acc, tokens)
	return nil
}

// authenticate logs the person in, through the browser or another device, and stores the session.
func (a *app) authenticate(ctx context.Context, acc *account, f loginFlags) (*provider.Tokens, error) {
	if f.device {
		return a.loginByDevice(ctx, acc, f)
	}
	entries, stopReading := a.pasted(ctx, f.noBrowser)
	defer stopReading()
	wrong := 0
	stopWaiting := func() {}
	defer func() { stopWaiting() }()
	cfg := loopback.Config{
		Provider: acc.provider, Scope: acc.config.Scope, Audience: acc.config.Audience,
		BaseURL: acc.config.BaseURL, Timeout: f.timeout, Params: f.params,
		Store:  func(ctx context.Context, t *provider.Tokens) error { return a.keep(ctx, acc, t, anybodys) },
		Pasted: entries,
		Rejected: func(reason string) {
			switch wrong++; {
			case wrong < mostPiped || a.terminal.Interactive():
				a.say("Not that one: %s", words.Printable(reason))
			case wrong == mostPiped:
				a.say("None of %d lines was the URL that the browser ended up at. More are read, and no more are told of.", wrong)
			}
		},
		ShowURL: func(authorizationURL string) {
			if !f.noBrowser {
				a.say("Opening your browser. If nothing opens, go to:")
			}
			a.say("%s", authorizationURL)
			a.sayHowToReach(acc.config.BaseURL)
			stopWaiting = a.terminal.Wait("Waiting for you in the browser", f.timeout)
		},
		Opened: func(err error) {
			if err != nil {
				a.say("No browser was opened (%s): open the URL above yourself.", words.Printable(err.Error()))
			}
		},
		OpenBrowser: a.browse,
		Advice:      acc.situation().advice,
	}
	if f.noBrowser {
		cfg.OpenBrowser = func(context.Context, string) error { return nil }
	}
	tokens, err := loopback.Login(ctx, cfg)
	if taken := new(loopback.PortTakenError); errors.As(err, &taken) {
		return a.loginByServer(ctx, acc, f, cfg, err)
	}
	if errors.Is(err, loopback.ErrTimeout) { // a mismatch is shown by the provider and never comes back to us
		err = fmt.Errorf("%w (if it showed a callback URL mismatch, add %s to Allowed Callback URLs: %s)", err,
			strings.TrimSuffix(acc.config.BaseURL, "/")+loopback.CallbackPath, acc.situation().settings())
	}
	return tokens, err
}

// loginByServer has loopkey serve, if it is the one that holds the port, make the login.
func (a *app) loginByServer(ctx context.Context, acc *account, f loginFlags, cfg loopback.Config, taken error) (*provider.Tokens, error) {
	waiting, cancel := clock.WithTimeoutCause(ctx, f.timeout, loopback.ErrTimeout)
	defer cancel()
	err := acc.server().Login(waiting, f.params, func(authorizationURL string) {
		cfg.ShowURL(authorizationURL)
		cfg.Opened(cfg.OpenBrowser(waiting, authorizationURL))
	})
	if errors.Is(err, handoff.ErrNoServer) {
		return nil, taken
	}
	return nil, err
}
