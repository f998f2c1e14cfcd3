package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

type loginFlags struct {
	noBrowser, device bool
	oneAudience       bool // the login asks for no further audiences
	push              bool // the authorization request is pushed to the provider
	timeout           time.Duration
	params            url.Values
	need              provider.Requirement      // what the authentication has to be
	beside            bool                      // it is a step-up, beside the session
	limits            map[string]*time.Duration // of the session, by flag; nil: the flag was not given
	dpop              *bool                     // --dpop; nil: the flag was not given
	gate              *toolGate                 // of a login that a tool began; nil: the person did
}

// loginParams are the flags that become parameters of the authorization request.
var loginParams = []struct{ flag, param, usage string }{
	{"prompt", "prompt", "what the provider should ask: login, consent or select_account"},
	{"organization", "organization", "Auth0 organization to log in to"},
	{"invitation", "invitation", "Auth0 organization invitation"},
	{"connection", "connection", "Auth0 connection to log in with"},
	{"connection-scope", "connection_scope", "scopes to ask for at that connection's own provider"},
	{"login-hint", "login_hint", "who is logging in, such as an email address"},
	{"screen-hint", "screen_hint", "signup shows Auth0's sign-up page"},
	{"acr-values", "acr_values", "how to authenticate: one of these, or the login fails"},
	{"max-age", "max_age", "seconds since the last authentication, at most"},
	{"ui-locales", "ui_locales", "languages for the provider's pages"},
}

// sessionLimits are the flags that set the session limits of its own.
var sessionLimits = []struct{ flag, usage string }{
	{"session-max-age", "end the session when it is so old, such as 12h"},
	{"session-idle", "end the session when no token was used for so long, such as 1h"},
}

// defaultTimeout is how long a login waits for the person.
const defaultTimeout = 3 * time.Minute

func (a *app) login() *cobra.Command {
	f := loginFlags{params: url.Values{}, limits: map[string]*time.Duration{}}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in through your browser",
		Long: `Opens your browser at the provider, receives its response on localhost, verifies it
and stores the session. The final URL of the browser may also be pasted here.`,
		Example: `  loopkey login --domain acme.eu.auth0.com --client-id s6BhdRkqt3
  loopkey login --issuer https://accounts.example.com --client-id cli --no-browser`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.readParams(cmd.Flags()); err != nil {
				return err
			}
			if err := f.readLimits(cmd.Flags()); err != nil {
				return err
			}
			if f.device && f.push {
				return deviceCannot("par")
			}
			if flags := cmd.Flags(); flags.Changed("dpop") {
				on, _ := flags.GetBool("dpop")
				f.dpop = &on
			}
			a.loginFlags = f.again(a.params)
			return a.runLogin(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the URL instead of opening it")
	flags.BoolVar(&f.device, "device", false, "log in on another device with a code (RFC 8628)")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "how long to wait for you")
	flags.BoolVar(&f.oneAudience, "one-audience", false, "ask for no other audiences that the profile and its hosts name")
	flags.BoolVar(&f.push, "par", false, "push the request to the provider, past the browser (RFC 9126)")
	for _, l := range sessionLimits {
		flags.Duration(l.flag, 0, l.usage)
	}
	flags.Bool("dpop", false, "bind the session's tokens to a key of its own (RFC 9449)")
	a.paramFlag(flags)
	a.browserFlags(flags)
	for _, p := range loginParams {
		flags.String(p.flag, "", p.usage)
	}
	return cmd
}

// again returns the flags of a login that a further login takes, each with its value. params are those of --param.
func (f *loginFlags) again(params []string) []string {
	var flags []string
	add := func(given bool, flag string) {
		if given {
			flags = append(flags, flag)
		}
	}
	add(f.noBrowser, "--no-browser")
	add(f.device, "--device")
	add(f.timeout > defaultTimeout, "--timeout "+flagOf(f.timeout)) // a shorter time may be what failed
	for _, p := range loginParams {                                 // and so may --prompt none
		value := f.params.Get(p.param)
		add(value != "" && p.flag != "prompt", "--"+p.flag+" "+quote(value))
	}
	for _, param := range params {
		add(true, "--param "+quote(param))
	}
	add(f.push, "--par")
	add(f.dpop != nil && *f.dpop, "--dpop")
	add(f.dpop != nil && !*f.dpop, "--dpop=false")
	add(f.oneAudience, "--one-audience")
	for _, l := range sessionLimits {
		if limit := f.limits[l.flag]; limit != nil {
			add(true, "--"+l.flag+" "+flagOf(*limit))
		}
	}
	return flags
}

// flagOf returns a duration as a person gives it: 12h, and not 12h0m0s.
func flagOf(d time.Duration) string {
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// readParams takes the parameters of the authorization request from the flags.
func (f *loginFlags) readParams(flags *pflag.FlagSet) error {
	if f.device && flags.Changed("param") {
		return deviceCannot("param")
	}
	for _, p := range loginParams {
		if f.device && flags.Changed(p.flag) { // a wish that is dropped in silence would seem to be granted
			return deviceCannot(p.flag)
		}
		if value, _ := flags.GetString(p.flag); value != "" {
			f.params.Set(p.param, value)
		}
	}
	return f.readNeed()
}

// readNeed takes from the parameters what the authentication has to be.
func (f *loginFlags) readNeed() error {
	if age := f.params.Get("max_age"); age != "" {
		if _, ok := provider.MaxAgeOf(age); !ok {
			return fmt.Errorf("%w: --max-age is %q: it is a number of seconds", errUsage, age)
		}
	}
	acr := strings.Join(strings.Fields(f.params.Get("acr_values")), " ")
	if acr != "" {
		f.params.Set("acr_values", acr)
	}
	f.need.ACR = acr
	return nil
}

// readLimits takes the limits of the session from the flags.
func (f *loginFlags) readLimits(flags *pflag.FlagSet) error {
	for _, l := range sessionLimits {
		if !flags.Changed(l.flag) {
			continue
		}
		limit, _ := flags.GetDuration(l.flag)
		if limit < 0 || limit > 0 && limit < time.Second {
			return fmt.Errorf("%w: --%s is %s: it is a second or more, or 0 for no limit", errUsage, l.flag, limit)
		}
		f.limits[l.flag] = &limit
	}
	return nil
}

// limit sets the limits that were given, and --dpop, in the configuration.
func (f *loginFlags) limit(cfg *config.Config) {
	if l := f.limits["session-max-age"]; l != nil {
		cfg.SessionMaxAge = *l
	}
	if l := f.limits["session-idle"]; l != nil {
		cfg.SessionIdle = *l
	}
	if f.dpop != nil {
		cfg.SetDPoP(*f.dpop)
	}
}

// deviceCannot returns the error about a flag for which a login with a code has no parameter.
func deviceCannot(flag string) error {
	return fmt.Errorf("%w: --device can't carry --%s (RFC 8628 has no such parameter): leave one of them out",
		errUsage, flag)
}

// mergeParams adds the parameters of the configuration that no flag of their own sets. given are the values of --param.
func (f *loginFlags) mergeParams(cfg *config.Config, given []string) error {
	for _, p := range loginParams {
		twice := slices.ContainsFunc(given, func(s string) bool { return strings.HasPrefix(s, p.param+"=") })
		if twice && f.params.Has(p.param) {
			return fmt.Errorf("%w: --%s and --param %s=… set the same parameter: leave one of them out",
				errUsage, p.flag, p.param)
		}
	}
	for name, values := range cfg.Params {
		if !f.params.Has(name) {
			f.params[name] = values
		}
	}
	return nil
}

// checkWindow returns an error where the browser can't open the window that the login is to be made in. Where no
// browser opens anyway, the person chooses the window.
func (a *app) checkWindow(ctx context.Context, f loginFlags) error {
	if f.noBrowser || f.device {
		return nil
	}
	unfit := new(loopback.WindowError)
	if err := a.window().Check(ctx); errors.As(err, &unfit) {
		return usageError(err)
	}
	return nil
}

func (a *app) runLogin(ctx context.Context, f loginFlags) error {
	if f.timeout <= 0 {
		return fmt.Errorf("%w: --timeout is %s: it must be positive", errUsage, f.timeout)
	}
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	cfg, err = a.recall(cfg)
	if err != nil && !errors.Is(err, session.ErrNotLoggedIn) { // then the configuration has to be complete
		return err
	}
	if err := cfg.CompleteForLogin(); err != nil {
		return err
	}
	if err := f.mergeParams(cfg, a.params); err != nil {
		return err
	}
	f.limit(cfg)
	cfg.Push = cfg.Push || f.push
	if err := a.checkWindow(ctx, f); err != nil {
		return err
	}
	acc, err := a.open(cfg, keychainLimitPerson)
	if err != nil {
		return err
	}
	for _, note := range cfg.Notes() {
		a.say("%s", note)
	}
	acc.oneAudience = f.oneAudience
	return a.logIn(ctx, acc, f)
}

// logIn logs the person in, stores the session, and says who is logged in.
func (a *app) logIn(ctx context.Context, acc *account, f loginFlags) error {
	if !f.device && a.mayAsk(acc.config) { // nobody types one for nothing
		if err := acc.portToBeHad(ctx); err != nil {
			return err
		}
	}
	release, err := acc.session.Storable(ctx)
	if errors.Is(err, keystore.ErrCorrupt) {
		a.say("The stored session can't be read; this login replaces it.")
	} else if err != nil {
		return err
	}
	before, _ := acc.session.Noted()
	tokens, through, err := a.authenticate(ctx, acc, f)
	if err != nil {
		release()
		return err
	}
	if err := a.endEarlier(ctx, acc); err != nil {
		return err
	}
	defer a.sayAudiences(ctx, acc)
	if tokens == nil { // another process has them
		limits := session.Limits{MaxAge: acc.config.SessionMaxAge, Idle: acc.config.SessionIdle}
		if limits != (session.Limits{}) {
			if err := acc.session.Limit(ctx, limits); err != nil {
				return err
			}
		}
		info, err := acc.session.Info(ctx)
		if err != nil {
			return err
		}
		a.say("Logged in as %s at %s, %s.", words.NameAndEmail(info.Claims), acc.config.Issuer, through)
		a.sayReplaced(acc, before, info.Claims)
		a.sayOtherAccount(acc, f, info.Claims)
		if !info.Renewable {
			a.sayNoRefresh(acc)
		}
		return nil
	}
	a.greet(acc, tokens)
	a.sayReplaced(acc, before, tokens.Claims)
	a.sayOtherAccount(acc, f, tokens.Claims.With(tokens.UserInfo))
	return nil
}

// authenticate logs the person in, through the browser or another device, and stores the session. Where another process
// did that it returns no tokens, and through what the login was made.
func (a *app) authenticate(
	ctx context.Context, acc *account, f loginFlags,
) (tokens *provider.Tokens, through string, err error) {
	if f.device {
		tokens, err = a.loginByDevice(ctx, acc, f)
		return tokens, "", err
	}
	return a.loginByBrowser(ctx, acc, f)
}
