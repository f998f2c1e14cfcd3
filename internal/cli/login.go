package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/webui"
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
	progress := newProgress(a.stderr, f.timeout)
	defer progress.stop()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	wrong := 0
	cfg := loopback.Config{
		Provider: acc.provider, Scope: acc.config.Scope, Audience: acc.config.Audience,
		BaseURL: acc.config.BaseURL, Timeout: f.timeout, Params: f.params,
		Store:  func(ctx context.Context, t *provider.Tokens) error { return a.keep(ctx, acc, t, anybodys) },
		Pasted: a.pastedURLs(reading),
		Rejected: func(reason string) {
			switch wrong++; {
			case wrong < mostPasted:
				progress.note("Not that one: " + words.Printable(reason))
			case wrong == mostPasted: // no person types this
				stopReading()
				progress.note(fmt.Sprintf("None of %d lines was the URL that the browser ended up at: no more are read.", wrong))
			}
		},
		ShowURL: func(authorizationURL string) {
			if !f.noBrowser {
				a.say("Opening your browser. If nothing opens, go to:")
			}
			a.say("%s", authorizationURL)
			a.sayHowToReach(acc.config.BaseURL)
			progress.start()
		},
		Opened: func(err error) {
			if err != nil {
				progress.note("No browser was opened (" + words.Printable(err.Error()) + "): open the URL above yourself.")
			}
		},
		OpenBrowser: a.browse,
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
			strings.TrimSuffix(acc.config.BaseURL, "/")+loopback.CallbackPath, acc.provider.Settings())
	}
	return tokens, err
}

// loginByServer has loopkey serve, if it is the one that holds the port, make the login.
func (a *app) loginByServer(ctx context.Context, acc *account, f loginFlags, cfg loopback.Config, taken error) (*provider.Tokens, error) {
	waiting, cancel := loopback.Deadline(ctx, f.timeout)
	defer cancel(nil)
	path := webui.HandOffPath(acc.config.StateDir, acc.config.BaseURL)
	err := webui.HandOff(waiting, path, acc.session.Name(), f.params, func(authorizationURL string) {
		cfg.ShowURL(authorizationURL)
		cfg.Opened(cfg.OpenBrowser(waiting, authorizationURL))
	})
	if errors.Is(err, webui.ErrNoServer) {
		return nil, taken
	}
	return nil, err
}

// keep stores the new login, and revokes the refresh token
// that it replaces. loopback.ErrAgain: the new login fell with the old one.
func (a *app) keep(ctx context.Context, acc *account, t *provider.Tokens, mayReplace func(subject string) bool) error {
	replaced, err := acc.session.BeginOver(ctx, t, mayReplace)
	if err != nil {
		return err
	}
	again, err := acc.session.Retire(ctx, replaced)
	if again {
		return loopback.ErrAgain
	}
	if err != nil {
		a.say("The login before this one could not be ended cleanly: %s", words.Printable(err.Error()))
	}
	return nil
}

// anybodys: the person at the terminal may replace whosever session is there.
func anybodys(string) bool { return true }

// loginByDevice logs in with a code that the person enters on another device (RFC 8628).
func (a *app) loginByDevice(ctx context.Context, acc *account, f loginFlags) (*provider.Tokens, error) {
	ctx, cancel := loopback.Deadline(ctx, f.timeout)
	defer cancel(nil)
	code, err := acc.provider.StartDevice(ctx, acc.config.Scope, acc.config.Audience)
	if err != nil {
		return nil, deviceError(ctx, err)
	}
	a.say("On any device, go to:\n%s\nand enter the code:\n%s", words.Printable(code.VerificationURI), words.Printable(code.UserCode))
	progress := newProgress(a.stderr, min(f.timeout, time.Until(code.Expiry)))
	defer progress.stop()
	progress.start()
	tokens, err := acc.provider.WaitDevice(ctx, code)
	if err != nil {
		return nil, deviceError(ctx, err)
	}
	err = a.keep(ctx, acc, tokens, anybodys)
	if errors.Is(err, loopback.ErrAgain) {
		return nil, errors.New("the provider revoked the new login together with the one before: run loopkey login --device again")
	}
	return tokens, err
}

var errDeviceTimeout = errors.New("timeout: the login on the other device did not come to its end in time")

// deviceError is err, or what ended ctx: no browser was to come back here.
func deviceError(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, loopback.ErrTimeout) {
		if failed, ok := errors.AsType[*provider.UnreachableError](err); ok { // while it was asked whether the person is done
			return fmt.Errorf("%w: %w", errDeviceTimeout, failed)
		}
		return errDeviceTimeout
	}
	return cmp.Or(cause, err)
}

// greet says who is logged in and until when, and what the login lacks.
func (a *app) greet(acc *account, t *provider.Tokens) {
	now := time.Now()
	a.say("Logged in as %s at %s.", words.NameAndEmail(t.Claims.All(t.UserInfo)), acc.config.Issuer)
	until := "The access token " + map[bool]string{true: "has no told expiry", false: "lives until " + words.Moment(t.Expiry, now)}[t.Expiry.IsZero()]
	switch {
	case !t.Expiry.IsZero() && !t.Expiry.After(now):
		a.say("By this computer's clock the access token is over already: the clock is ahead of the provider's, so set it.")
	case t.RefreshToken.IsZero():
		a.say("%s.", until)
	case !t.RefreshExpiry.IsZero():
		a.say("%s and is renewed when needed, until %s.", until, words.Moment(t.RefreshExpiry, now))
	default:
		a.say("%s and is renewed when needed.", until)
	}
	if !t.SessionExpiry.IsZero() {
		a.say("The provider ends the session at %s.", words.Moment(t.SessionExpiry, now))
	}
	if t.RefreshToken.IsZero() && hasScope(acc.config.Scope, "offline_access") {
		how := "try loopkey login --prompt consent"
		if acc.provider.Auth0() {
			how = "switch on Allow Offline Access (Dashboard → Applications → APIs → your API → Settings), " +
				"and Refresh Token among the application's grant types"
		}
		a.say("No refresh token came, though offline_access was asked for, so you will have to log in again then: %s.", how)
	}
}

func hasScope(scope, value string) bool {
	for _, s := range strings.Fields(scope) {
		if s == value {
			return true
		}
	}
	return false
}

// sayHowToReach tells a person whose browser is on another machine how its answer gets here.
func (a *app) sayHowToReach(baseURL string) {
	port := "80"
	if u, err := url.Parse(baseURL); err == nil && u.Port() != "" {
		port = u.Port()
	}
	switch {
	case a.lookup("SSH_CONNECTION") != "" || a.lookup("SSH_TTY") != "":
		a.say("This is an SSH session. If your browser is on your own machine, run there first:\n  ssh -L %s:localhost:%s %s\n"+
			"or paste here the URL that the browser ends up at.", port, port, a.sshTarget())
	case a.inContainer():
		a.say("This is a container. Forward port %s of it to your machine (dev containers: forwardPorts),\n"+
			"or paste here the URL that the browser ends up at.", port)
	}
}

// sshTarget is this machine as the SSH client reached it.
func (a *app) sshTarget() string {
	host, port := "HOST", ""
	if fields := strings.Fields(a.lookup("SSH_CONNECTION")); len(fields) == 4 { // client address and port, server address and port
		host = fields[2]
		if fields[3] != "22" {
			port = " -p " + fields[3]
		}
	} else if name, err := os.Hostname(); err == nil {
		host = name
	}
	if user := a.lookup("USER"); user != "" {
		host = user + "@" + host
	}
	return words.Printable(host + port)
}

func (a *app) inContainer() bool {
	for _, name := range []string{"REMOTE_CONTAINERS", "CODESPACES", "container"} {
		if a.lookup(name) != "" {
			return true
		}
	}
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
}

// mostPasted is how many lines may be wrong before stdin is taken for something else than a person.
const mostPasted = 10

// pastedURLs reads lines from stdin until ctx ends: the URL that a browser elsewhere ended up at.
func (a *app) pastedURLs(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		scanner := bufio.NewScanner(io.LimitReader(a.stdin, 1<<20))
		scanner.Buffer(nil, 64<<10)
		for scanner.Scan() {
			line := strings.TrimSpace(scanner.Text())
			if line == "" {
				continue
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

// progress shows on a terminal that loopkey waits, and how long still. Into a pipe it prints nothing but notes.
type progress struct {
	out      io.Writer
	live     bool
	deadline time.Time
	mu       sync.Mutex
	shown    bool
	done     chan struct{}
	ended    sync.WaitGroup
	once     sync.Once
}

func newProgress(out io.Writer, limit time.Duration) *progress {
	return &progress{out: out, live: isTerminal(out), deadline: time.Now().Round(0).Add(limit), done: make(chan struct{})}
}

func (p *progress) start() {
	if !p.live {
		return
	}
	p.ended.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			p.draw()
			select {
			case <-p.done:
				return
			case <-tick.C:
			}
		}
	})
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := max(time.Until(p.deadline), 0).Round(time.Second)
	_, _ = fmt.Fprintf(p.out, "\r\x1b[KWaiting for you in the browser, %s left (Ctrl-C to stop) ", left)
	p.shown = true
}

// note prints a line above the clock.
func (p *progress) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	_, _ = fmt.Fprintln(p.out, line)
}

func (p *progress) clear() {
	if p.shown {
		_, _ = io.WriteString(p.out, "\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) stop() {
	p.once.Do(func() { close(p.done) })
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}
