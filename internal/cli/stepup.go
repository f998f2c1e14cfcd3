package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/challenge"
	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// needFlags say what the authentication of a token has to be.
type needFlags struct{ acr, maxAge, challenge string }

func (n *needFlags) add(flags *pflag.FlagSet) {
	flags.Var((*wish)(&n.acr), "acr", "an authentication of one of these kinds, in a step-up if need be")
	flags.Var((*wish)(&n.maxAge), "max-age", "an authentication no more seconds ago, in a step-up if need be")
	flags.Var((*wish)(&n.challenge), "challenge", "what an API's WWW-Authenticate asks for (RFC 9470)")
}

// A wish is the value of a flag that must not be empty: an unset variable of a script would ask for less.
type wish string

var _ pflag.Value = (*wish)(nil)

// Set implements pflag.Value.
func (w *wish) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("it is empty")
	}
	*w = wish(text)
	return nil
}

func (w *wish) String() string { return string(*w) }

// Type implements pflag.Value.
func (w *wish) Type() string { return "string" }

// isGiven reports whether a flag was given.
func (n *needFlags) isGiven() bool { return *n != needFlags{} }

// read returns what the flags ask for, and the scope that a challenge asks for.
func (n *needFlags) read() (need provider.Requirement, scope string, err error) {
	if n.challenge != "" {
		if n.acr != "" || n.maxAge != "" {
			return need, "", fmt.Errorf("%w: --challenge says what it takes: leave --acr and --max-age out", errUsage)
		}
		return readChallenge(n.challenge)
	}
	if n.maxAge != "" {
		age, ok := provider.MaxAgeOf(n.maxAge)
		if !ok {
			return need, "", fmt.Errorf("%w: --max-age is %q: it is a number of seconds", errUsage, words.Line(n.maxAge, 40))
		}
		need.MaxAge = age
	}
	for _, acr := range strings.Fields(n.acr) {
		if !challenge.IsValue(acr) {
			return need, "", fmt.Errorf("%w: --acr has a value with a character that none has", errUsage)
		}
	}
	need.ACR = strings.Join(strings.Fields(n.acr), " ")
	return need, "", nil
}

// readChallenge returns what a challenge asks for, as an API sends it.
func readChallenge(field string) (need provider.Requirement, scope string, err error) {
	const name = "www-authenticate:"
	field = strings.TrimSpace(field)
	if len(field) > len(name) && strings.EqualFold(field[:len(name)], name) { // a line of curl -i
		field = field[len(name):]
	}
	b := challenge.Parse([]string{field})
	switch {
	case b.Error == challenge.InsufficientScope && b.Scope != nil:
		return need, strings.Join(b.Scope, " "), nil
	case b.Error != challenge.InsufficientAuthentication:
		return need, "", fmt.Errorf("%w: --challenge has no Bearer error=\"%s\" that can be read",
			errUsage, challenge.InsufficientAuthentication)
	}
	return b.Need(), strings.Join(b.Scope, " "), nil
}

// stepUpLimit is how long the person has for a step-up.
const stepUpLimit = 3 * time.Minute

// withStepUp tries to get a token. Where that takes a step-up and somebody is at the terminal, it makes the step-up and
// tries once more: since says when the step-up was begun. It is zero at the first try.
func (a *app) withStepUp(ctx context.Context, try func(since time.Time) error) error {
	why := try(time.Time{})
	if !errors.As(why, new(*session.StepUpError)) {
		return why
	}
	begun := clock.Now()
	if err := a.stepUp(ctx, a.opened, nil, why); err != nil {
		return err
	}
	return try(begun)
}

// accessToken returns an access token of a source, if need be after a step-up, and the request for the next one.
func (a *app) accessToken(
	ctx context.Context, source credential.Source, r session.Request,
) (t session.AccessToken, next session.Request, err error) {
	err = a.withStepUp(ctx, func(since time.Time) (err error) {
		r.Force = r.Force && since.IsZero() // what a step-up brings is new
		r = r.Since(since)
		t, err = source.AccessToken(ctx, r)
		return err
	})
	r.Force = false
	return t, r, err
}

// stepUp makes the login that a token takes, in a browser, where somebody is at the terminal and the gate admits it.
// Otherwise it returns why.
func (a *app) stepUp(ctx context.Context, acc *account, gate *toolGate, why error) error {
	step := new(session.StepUpError)
	if !errors.As(why, &step) || acc == nil || !a.terminal.Interactive() || !terminal.Is(a.stderr) {
		return why
	}
	a.catchSignals()
	info, err := acc.session.Info(ctx)
	if err != nil {
		return err
	}
	cfg := *acc.config
	cfg.Audience, cfg.Audiences = step.Request.Audience, nil
	if cfg.Scope = scopeWith(acc.config.Scope, step.Request.Scope); cfg.Audience == "" && len(info.AccessTokens) > 0 {
		cfg.Audience = info.AccessTokens[0].Audience // the session's own
	}
	other := *acc
	other.config = &cfg
	f := loginFlags{
		timeout: stepUpLimit, params: stepUpParams(acc, info), need: step.Request.Need, beside: true, gate: gate,
	}
	a.say("%s.", words.Sentence(words.Printable(step.Error())))
	_, _, err = a.loginByBrowser(ctx, &other, f)
	return err
}

// stepUpParams returns the parameters of a login for the session's user.
func stepUpParams(acc *account, info session.Info) url.Values {
	params := url.Values{}
	maps.Copy(params, acc.config.Params)
	params.Del("acr_values")
	params.Del("max_age")
	for _, name := range []string{"email", "preferred_username"} {
		if hint := info.Claims.Text(name); hint != "" && !params.Has("login_hint") {
			params.Set("login_hint", hint)
		}
	}
	if org := info.Claims.Text("org_id"); org != "" && acc.provider.Auth0() {
		params.Set("organization", org)
	}
	return params
}

// scopeWith returns a login's scope with what a request asks for beside it.
func scopeWith(scope, more string) string {
	all := strings.Fields(scope)
	for _, s := range strings.Fields(more) {
		if !strings.Contains(" "+scope+" ", " "+s+" ") {
			all = append(all, s)
		}
	}
	return strings.Join(all, " ")
}

// stepUpLine returns the line that gets the token of a step-up.
func (at situation) stepUpLine(step *session.StepUpError) string {
	var set []string
	if audience := step.Request.Audience; audience != "" && !at.isConfigured(audience) {
		set = []string{"audience", audience}
	}
	line := at.line("token", set...)
	if acr := step.Request.Need.ACR; acr != "" {
		line += " --acr " + quote(acr)
	}
	if age := step.Request.Need.MaxAge; age > 0 {
		line += " --max-age " + strconv.Itoa(int(age/time.Second))
	}
	return line
}

// isConfigured reports whether a command without flags asks for the audience.
func (at situation) isConfigured(audience string) bool {
	return at.configured("", func(c *config.Config) string { return c.Audience }) == audience
}
