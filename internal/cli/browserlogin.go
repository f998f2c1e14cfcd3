package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/doctor"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

// A browserLogin is a login through a browser, and what the terminal shows of it meanwhile.
type browserLogin struct {
	*app
	account     *account
	flags       loginFlags
	wanted      login.Wanted
	pasted      <-chan string
	stopWaiting func()      // removes the waiting line
	rejected    int         // lines that were pasted and are not the URL
	shared      bool        // another terminal opened the browser
	flow        *login.Flow // of a login that this process makes
	hidden      string      // the URL for which a short one was shown
	turn        func()      // ends this process's turn to look for a port; nil: it is not its turn
	ways        []string
	code        *byCode // the other way, where no browser can be opened here
	unopenable  error   // why none can be; nil: one may
	choosing    bool    // the provider is to let the person choose the account, though they did not ask for that
}

// Where the port is taken and no loopkey replies, another one may be starting or ending: how often it is asked again,
// and after what time.
const (
	mostAsked = 3
	askAgain  = 100 * time.Millisecond
)

// loginByBrowser logs the person in through their browser, and stores the session. A loopkey serve that holds the port
// does that for it, and so does a login that waits in another terminal and asks for the same: then it returns no
// tokens, and through what the login was made.
func (a *app) loginByBrowser(
	ctx context.Context, acc *account, f loginFlags,
) (tokens *provider.Tokens, through string, err error) {
	code, ctx := newByCode(ctx)
	lines, stopReading := a.pasted(ctx, f.noBrowser)
	defer stopReading()
	b := &browserLogin{
		app: a, account: acc, flags: f, wanted: acc.wanted(f.params), pasted: lines, stopWaiting: func() {}, code: code,
		unopenable: a.noBrowserHere(),
	}
	b.wanted.Need, b.wanted.Beside = f.need, f.beside
	defer func() { b.stopWaiting() }()
	defer code.close()
	defer b.endTurn()
	b.chooseAccount(ctx)
	began := clock.Now()
	deadline := time.Now().Add(f.timeout)
	left := func() time.Duration { return max(time.Until(deadline), time.Millisecond) }
	for asked := 1; ; asked++ {
		var taken error
		if err := b.takeTurn(ctx); err != nil {
			return nil, "", err
		}
		if acc.chooses() { // a loopkey that holds one of the ports comes before a free one
			err = b.byHolder(ctx, left())
		}
		if !acc.chooses() || errors.Is(err, handoff.ErrNoServer) {
			if tokens, taken = b.alone(ctx, left()); b.asksLess(taken) || b.asksNoChoice(taken) {
				continue
			}
			if result, ok := b.isByCode(ctx, taken); ok {
				return result.tokens, "", result.err
			}
			if !errors.As(taken, new(*loopback.PortTakenError)) {
				return tokens, "", taken
			}
		}
		if !acc.chooses() {
			err = b.byHolder(ctx, left())
		}
		b.endTurn()
		b.stopWaiting()
		if result, ok := b.isByCode(ctx, err); ok {
			return result.tokens, "", result.err
		}
		switch {
		case b.asksLess(err) || b.asksNoChoice(err):
			continue
		case err == nil && b.shared:
			return nil, "together with another terminal", nil
		case err == nil:
			return nil, "through loopkey serve", nil
		case errors.Is(err, handoff.ErrNoServer) && asked >= patience(taken):
			return nil, "", taken
		case errors.Is(err, handoff.ErrEnded) && b.shared && b.loggedInSince(ctx, began): // by the code that it showed
			return nil, "together with another terminal", nil
		case errors.Is(err, handoff.ErrEnded):
			a.say("The loopkey that held the port has ended.\nThis terminal goes on with a login of its own.")
		case !errors.Is(err, handoff.ErrNoServer) && !errors.Is(err, handoff.ErrNotNow):
			return nil, "", err
		}
		if err := clock.Pause(ctx, askAgain); err != nil {
			return nil, "", err
		}
	}
}

// asksLess reports whether a login whose response was pasted failed for asking for several audiences. The next one asks
// for one.
func (b *browserLogin) asksLess(err error) bool {
	if !errors.Is(err, login.ErrLess) || len(b.wanted.Audiences) == 0 {
		return false
	}
	b.wanted.Audiences = nil
	b.stopWaiting()
	b.say("The provider does not grant several audiences at once. Once more, for one:")
	return true
}

// takeTurn waits until no other process looks for a port for the same session.
func (b *browserLogin) takeTurn(ctx context.Context) (err error) {
	if b.turn == nil {
		b.turn, err = b.account.loginTurn(ctx)
	}
	return err
}

// endTurn lets the next process look for a port.
func (b *browserLogin) endTurn() {
	if b.turn != nil {
		b.turn()
		b.turn = nil
	}
}

// bound notes the port that the login comes back to, and says which it is where there was a choice.
func (b *browserLogin) bound(redirectURI string, passed []error) {
	if u, err := url.Parse(redirectURI); err == nil && b.account.chooses() {
		b.account.usePort(localurl.Port(u))
	}
	b.sayPort(b.account, passed)
}

// alone makes the login in this process.
func (b *browserLogin) alone(ctx context.Context, limit time.Duration) (*provider.Tokens, error) {
	acc := b.account
	var prover *provider.Prover
	if b.wanted.Beside {
		var err error
		if prover, err = acc.session.StepUpProver(ctx); err != nil {
			return nil, err
		}
	}
	tokens, err := loopback.Login(ctx, loopback.Config{
		AppName:  appName,
		Provider: acc.provider, Scope: b.wanted.Scope, Audience: b.wanted.Audience, Audiences: b.wanted.Audiences,
		Params: b.wanted.Params, Need: b.wanted.Need, Prover: prover,
		BaseURL: acc.config.BaseURL, Ports: acc.config.Ports(), Bound: b.bound, Timeout: limit,
		ShowURL:     func(authorizationURL string) { b.show(ctx, authorizationURL, b.flow.ShortOf(authorizationURL)) },
		OpenBrowser: b.open, Opened: func(err error) { b.browserOpened(ctx, err) },
		Pasted: b.pasted, Rejected: b.reject,
		TLSHello: func() { b.sayTLSHello(acc) },
		Store: func(storing context.Context, t *provider.Tokens) error {
			if !b.code.byBrowser() {
				return errCodeFirst
			}
			defer b.sayStoring(ctx)()
			if b.wanted.Beside {
				return acc.session.StepUp(storing, t, b.wanted.Need)
			}
			return b.keep(storing, acc, t, anySubject)
		},
		Attend: func(flow *login.Flow) (end func(), err error) {
			if err := b.flags.gate.admit(ctx); err != nil {
				return nil, err
			}
			b.flow = flow
			end = b.share(ctx, flow)
			b.endTurn() // who comes now can share it
			return end, nil
		},
		Advice: func(err error) string { return b.situation(acc).advice(err) },
	})
	return tokens, b.timedOut(ctx, err)
}

// timedOut adds to the error of a login that timed out what the person can do.
func (b *browserLogin) timedOut(ctx context.Context, err error) error {
	timeout := new(loopback.TimeoutError)
	if !errors.As(err, &timeout) {
		return err
	}
	if timeout.Saw == "" {
		if down := b.providerDown(ctx); down != nil {
			return fmt.Errorf("%w: %w", err, down)
		}
	}
	var unlisted []string
	if b.wanted.Scope != loopback.DefaultScope { // whose scopes every provider takes, named or not
		ctx = context.WithoutCancel(ctx)
		unlisted, _ = b.account.provider.UnlistedScopes(ctx, b.wanted.Scope) // from memory, by now
	}
	several := len(b.wanted.Audiences) > 1 || b.wanted.Audience != "" && len(b.wanted.Audiences) > 0
	return fmt.Errorf("%w (%s)", err, b.situation(b.account).timedOut(timeout.Saw, unlisted, several))
}

// askedLate is how long a provider is asked whether it is there, after a login has timed out.
const askedLate = 5 * time.Second

// providerDown returns why the provider can't be reached: what was kept of it let the login begin all the same.
func (b *browserLogin) providerDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askedLate)
	defer cancel()
	cfg := config.ProviderOf(b.account.config.Client)
	cfg.Logger = b.trace()
	fresh, err := provider.New(cfg)
	if err != nil {
		return nil //nolint:nilerr // the login would have failed for it
	}
	if err := fresh.Warm(ctx); errors.Is(err, provider.ErrUnreachable) {
		return err
	}
	return nil
}

// timedOut returns what a person can do whose login had no response. saw is what came in its place. unlisted are the
// scopes that the login asked for and the provider does not name. several says that it asked for several audiences.
func (at situation) timedOut(saw login.Hindrance, unlisted []string, several bool) string {
	switch {
	case saw != "":
		return at.sentence(saw)
	case several:
		return at.sentence(reasonMaybeAudiences) + "; " + at.timedOut(saw, unlisted, false)
	case len(unlisted) > 0:
		scopes := words.Printable(strings.Join(unlisted, " "))
		return strings.ReplaceAll(at.sentence(reasonUnlistedScope), "{scopes}", scopes) +
			"; " + at.sentence(reasonMaybeCallback)
	}
	return at.sentence(reasonMaybeCallback) // a provider that does not know the callback URL sends no response to it
}

// share lets other terminals share the login while it waits. Where they can't reach it, they find the port taken.
func (b *browserLogin) share(ctx context.Context, flow *login.Flow) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	terminals, err := handoff.Listen(ctx, b.account.server().Socket)
	if err != nil {
		cancel()
		return func() {}
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		waiting := handoff.Waiting{Flow: flow, Wanted: b.wanted}
		_ = handoff.Serve(ctx, terminals, b.account.holder(), waiting) // without it, the port is taken for them
	}()
	return func() {
		cancel()
		<-served
	}
}

// byHolder asks the loopkey that holds the port to make the login: loopkey serve, or a login that waits.
func (b *browserLogin) byHolder(ctx context.Context, limit time.Duration) error {
	asking, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	err := b.account.ask(func(port int, server handoff.Client) error {
		return server.Login(asking, b.wanted, b.terminalAt(ctx, port, giveUp, limit))
	})
	return b.timedOut(ctx, err)
}

// terminalAt is what the loopkey that holds a port deals with. giveUp ends the question.
func (b *browserLogin) terminalAt(
	ctx context.Context, port int, giveUp context.CancelCauseFunc, limit time.Duration,
) handoff.Terminal {
	return handoff.Terminal{
		Show: func(begun handoff.Begun) {
			if b.account.chooses() {
				b.account.usePort(port)
			}
			b.endTurn()
			if b.shared = begun.Shared; b.shared {
				b.say("Another terminal waits for this login already.")
			} else if err := b.flags.gate.admit(ctx); err != nil {
				giveUp(err)
				return
			}
			b.show(ctx, begun.URL, begun.Short)
			if !b.shared {
				b.browserOpened(ctx, b.open(ctx, toOpen(b.env, begun)))
			}
		},
		Pasted: b.pasted, Rejected: b.reject, Timeout: limit,
	}
}

// show shows the URL to log in at: a short one, that leads there, where a person on this machine reads it.
func (b *browserLogin) show(ctx context.Context, authorizationURL, short string) {
	if !b.shared {
		b.flags.gate.begin()
	}
	if b.visited {
		b.say("Opening %s", b.terminal.Link(authorizationURL))
		return
	}
	if scope, err := b.account.provider.LoginScope(ctx, b.account.chosenScope()); err == nil { // from memory, by now
		b.sayScope(b.account, scope)
	}
	switch {
	case b.flags.noBrowser:
	case b.shared:
		b.say("If no tab is open for it, go to:")
	case b.unopenable != nil:
		b.say("%s. Open this in one yourself:", words.Sentence(words.Printable(b.unopenable.Error())))
	default:
		b.say("Opening your browser. If nothing opens, go to:")
	}
	elsewhere := environ.OverSSH(b.env) || environ.InContainer(b.env) || b.unopenable != nil
	if short != "" && b.terminal.Live() && !b.flags.noBrowser && !elsewhere {
		b.hidden = authorizationURL
		b.say("%s", b.terminal.Link(short))
	} else {
		b.say("%s", b.terminal.Link(authorizationURL))
	}
	b.ways = b.otherWays(ctx)
	switch {
	case b.sayHowToReach(b.account.config.BaseURL, b.ways):
		b.ways = nil // said
	case b.unopenable != nil && !b.shared && !b.flags.noBrowser && len(b.ways) > 0:
		b.say("Where that one is on another machine, %s.", strings.Join(b.ways, ", or "))
	}
	if b.unopenable != nil {
		b.beginByCode(ctx)
	}
	for _, f := range doctor.BeforeLogin(ctx, b.account.provider) { // from memory, too
		b.say("%s: %s.", words.Sentence(f.Message), b.fix(f))
	}
	b.stopWaiting = b.terminal.Wait("Waiting for you in the browser", b.flags.timeout)
}

// otherWays says how the login can be finished where no browser can come back to this machine.
func (b *browserLogin) otherWays(ctx context.Context) []string {
	var ways []string
	if b.pasted != nil {
		ways = append(ways, "paste here the URL that the browser ends up at")
	}
	byCode := b.unopenable != nil && b.maybeByCode(ctx)
	if !byCode && !b.wanted.Beside && b.account.provider.OffersDevice(ctx) { // from memory, by now
		ways = append(ways, "run "+b.situation(b.account).login("--device")+" instead")
	}
	return ways
}

// open opens the URL in the browser, unless the person wants to do that.
func (b *browserLogin) open(ctx context.Context, authorizationURL string) error {
	switch {
	case b.flags.noBrowser:
		return nil
	case b.unopenable != nil: // said
		b.traceBrowser(b.unopenable)
		return nil
	}
	return b.browse(ctx, authorizationURL)
}

// toOpen returns the URL for the browser.
func toOpen(env []string, begun handoff.Begun) string {
	if begun.Short != "" && environ.TooLong(env, begun.URL) {
		return begun.Short
	}
	return begun.URL
}

// browserOpened says that no browser was opened, where err says so.
func (b *browserLogin) browserOpened(ctx context.Context, err error) {
	if err == nil {
		return
	}
	b.sayUnopened(err, ": open the URL above yourself"+strings.TrimSuffix(orElse(",\nor ", b.ways), ".")+".")
	if b.hidden != "" {
		b.say("On another machine the short URL leads nowhere. The whole one is:\n%s", b.terminal.Link(b.hidden))
	}
	b.beginByCode(ctx)
}

// reject says why a line is not the URL that the browser ended up at. Of the lines from a pipe it comments on the first
// few.
func (b *browserLogin) reject(reason string) {
	switch b.rejected++; {
	case b.rejected < mostPiped || b.terminal.Interactive():
		b.say("Not that one: %s", words.Printable(reason))
	case b.rejected == mostPiped:
		b.say("None of %d lines was the URL that the browser ended up at.\n"+
			"loopkey reads on, and says no more about wrong lines.", b.rejected)
	}
}
