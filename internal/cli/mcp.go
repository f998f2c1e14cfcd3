package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/journal"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

type mcpFlags struct {
	headers   []string
	noBrowser bool
	timeout   time.Duration
}

func (a *app) mcp() *cobra.Command {
	var f mcpFlags
	cmd := &cobra.Command{
		Use:   "mcp URL",
		Short: "Be an MCP server on stdio, for a remote one that wants a login",
		Long: `An MCP host (a desktop assistant, an editor) runs this as a local server. It passes
messages on to the remote server and has a fresh token for it. The first start
that needs a login opens one browser tab, however many hosts start it.`,
		Example: `  loopkey mcp https://mcp.example.com/mcp
  {"mcpServers": {"acme": {"command": "loopkey", "args": ["mcp", "https://mcp.example.com/mcp"]}}}`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runMCP(cmd.Context(), args[0], f)
		},
	}
	in := &cobra.Command{
		Use:   "login URL",
		Short: "Log in to an MCP server",
		Args:  oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runMCPLogin(cmd.Context(), args[0], f)
		},
	}
	a.browserFlags(in.Flags())
	in.Flags().DurationVar(&f.timeout, "timeout", 3*time.Minute, "how long to wait for you")
	out := &cobra.Command{
		Use:   "logout URL",
		Short: "Log out of an MCP server, here and at its authorization server",
		Args:  oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runMCPLogout(cmd.Context(), args[0])
		},
	}
	for _, c := range []*cobra.Command{cmd, in} {
		c.Flags().StringArrayVar(&f.headers, "header", nil, "a further header field for the server: 'Name: value'")
		c.Flags().BoolVar(&f.noBrowser, "no-browser", false, "open no browser")
	}
	cmd.AddCommand(in, out, a.mcpAuthorize())
	return cmd
}

// oneURL wants the URL of a server as the one argument.
func oneURL(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && !strings.Contains(args[0], "://") {
		if meant := similar(args[0], commandNames(cmd)); meant != "" {
			return fmt.Errorf("%w: there is no mcp %s: did you mean %s %s?", errUsage, args[0], cmd.CommandPath(), meant)
		}
	}
	switch len(args) {
	case 0:
		return fmt.Errorf("%w: %s needs the URL of the server: see %s --help", errUsage, cmd.Name(), cmd.CommandPath())
	case 1:
		return nil
	}
	return fmt.Errorf("%w: %s takes no argument %q: see %s --help", errUsage, cmd.Name(), args[1], cmd.CommandPath())
}

// header returns the header fields that the flags set.
func (f *mcpFlags) header() (http.Header, error) {
	header := http.Header{}
	for _, field := range f.headers {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			return nil, fmt.Errorf("%w: --header is %q: it is 'Name: value'", errUsage, name)
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return header, nil
}

// The ports of redirect URIs beside the one of the base URL. A client that loopkey registers has all of them, for many
// authorization servers compare ports: a login need not wait for a loopkey serve to end.
const (
	mcpPort      = 28471
	otherMCPPort = 28472
)

// An mcpSetup is what the authorization for a server is made of, in this process or in the one of a login.
type mcpSetup struct {
	URL          string          `json:"url"`
	ClientID     string          `json:"client_id,omitempty"`
	ClientIssuer string          `json:"client_issuer,omitempty"`
	ClientSecret string          `json:"client_secret,omitempty"`
	Client       known.Client    `json:"client,omitzero"` // by what else it authenticates there
	Push         bool            `json:"push,omitempty"`
	SignRequests bool            `json:"sign_requests,omitempty"`
	Scope        string          `json:"scope,omitempty"`
	Header       http.Header     `json:"header,omitempty"`
	BaseURL      string          `json:"base_url,omitempty"`
	Window       loopback.Window `json:"window,omitzero"`
	Ports        []int           `json:"ports,omitempty"` // of the redirect URIs; empty: the one of BaseURL
	Keystore     string          `json:"keystore"`
	StateDir     string          `json:"state_dir"`
	CacheDir     string          `json:"cache_dir"`
	NoLog        bool            `json:"no_log,omitempty"`
}

// mcpSetup returns the setup for a server by the configuration and the flags. What the folder's .env says does not
// count: a host starts a bridge in whatever folder it has open.
func (a *app) mcpSetup(server string, f mcpFlags) (*mcpSetup, *config.Config, error) {
	a.isolated, a.server = true, server
	cfg, err := a.configure()
	if err != nil {
		return nil, nil, err
	}
	if err := cfg.Needs("base-url"); err != nil {
		return nil, nil, err
	}
	header, err := f.header()
	if err != nil {
		return nil, nil, err
	}
	s := &mcpSetup{
		URL: server, Scope: a.flags["scope"], Header: header, BaseURL: cfg.BaseURL, Ports: cfg.Ports(), Window: a.window(),
		Keystore: cfg.Keystore, StateDir: cfg.StateDir, CacheDir: cfg.CacheDir, NoLog: !cfg.Log,
	}
	issuerGiven := a.flags["issuer"] != "" || a.flags["domain"] != ""
	switch {
	case a.flags["client-id"] != "" && !issuerGiven:
		s.ClientID = a.flags["client-id"] // of the authorization server that the server names
	case cfg.Issuer != "" && cfg.ClientID != "":
		if err := cfg.Needs("client-key", "client-certificate", "client-certificate-key"); err != nil {
			return nil, nil, err
		}
		s.ClientID, s.ClientIssuer = cfg.ClientID, cfg.Issuer
		s.Client = known.Client{DPoP: cfg.DPoP}.AuthenticatingAs(cfg.Client)
		s.Push, s.SignRequests = cfg.Push, cfg.SignRequests
		if s.ClientSecret, err = cfg.ClientSecret(); err != nil {
			return nil, nil, err
		}
	}
	return s, cfg, nil
}

// authorization returns the authorization of a setup. begin starts the process of a login; nil: no login is begun.
func (a *app) authorization(
	s *mcpSetup, limit time.Duration, begin func(context.Context, mcp.Wish) error,
) (*mcp.Authorization, error) {
	store, err := a.openStore(s.Keystore, s.StateDir, limit)
	if err != nil {
		return nil, err
	}
	var clientURIs []string
	for _, port := range s.Ports {
		clientURIs = append(clientURIs, localurl.At(localurl.WithPort(s.BaseURL, port), login.CallbackPath))
	}
	redirectURIs := slices.Clone(clientURIs)
	if i := slices.Index(s.Ports, 0); i >= 0 { // it is not known which port comes when a client is registered
		redirectURIs = slices.Delete(redirectURIs, i, i+1)
	}
	for _, port := range []int{mcpPort, otherMCPPort} {
		redirectURIs = append(redirectURIs, fmt.Sprintf("http://localhost:%d%s", port, login.CallbackPath))
	}
	return mcp.NewAuthorization(mcp.AuthorizationConfig{
		URL: s.URL, ClientID: s.ClientID, ClientIssuer: s.ClientIssuer, ClientSecret: provider.NewSecret(s.ClientSecret),
		Client: s.Client,
		Scope:  s.Scope, Header: s.Header, RedirectURIs: redirectURIs, ClientURIs: clientURIs, NoBrowser: begin == nil,
		Store: store, Keystore: s.Keystore, StateDir: s.StateDir, CacheDir: s.CacheDir, Begin: begin,
		Session: func(c known.Client, secret provider.Secret) (*session.Session, error) {
			isOwn := c.Issuer == s.ClientIssuer && c.ClientID == s.ClientID
			e := errand{
				Client: c, ClientSecret: secret.Reveal(), CacheDir: s.CacheDir, StateDir: s.StateDir,
				NoLog: s.NoLog, Push: isOwn && s.Push, SignRequests: isOwn && s.SignRequests,
			}
			acc, err := a.accountOf(e, false, session.Limits{}, limit)
			if err != nil {
				return nil, err
			}
			return acc.session, nil
		},
	})
}

func (a *app) runMCP(ctx context.Context, server string, f mcpFlags) error {
	s, cfg, err := a.mcpSetup(server, f)
	if err != nil {
		return err
	}
	noted := a.recorder(cfg, "mcp", "")
	noted.entry = journal.Entry{Event: tokenEvent, Tool: "mcp", Server: s.URL}
	var begin func(context.Context, mcp.Wish) error
	if !f.noBrowser {
		begin = func(ctx context.Context, w mcp.Wish) error { return a.beginMCPLogin(ctx, s, w) }
	}
	auth, err := a.authorization(s, keychainLimitScript, begin)
	if err != nil {
		return err
	}
	return mcp.Run(ctx, mcp.Config{
		URL: s.URL, Header: s.Header, Authorizer: advised{auth, a, noted},
		In: a.stdin, Out: a.stdout, Log: func(line string) { a.say("%s", line) },
	})
}

// An advised is an authorizer whose errors say what to do: the host shows them to the person.
type advised struct {
	mcp.Authorizer
	app      *app
	recorder *recorder
}

// Token returns the token of the authorizer.
func (d advised) Token(ctx context.Context) (mcp.Token, error) {
	token, err := d.Authorizer.Token(ctx)
	if err == nil && !token.IsZero() {
		d.recorder.note(accessToken, "", token.Secret)
	}
	return token, d.advise(ctx, err)
}

// Challenged asks the authorizer.
func (d advised) Challenged(ctx context.Context, status int, challenges []string, sent provider.Secret) error {
	return d.advise(ctx, d.Authorizer.Challenged(ctx, status, challenges, sent))
}

func (d advised) advise(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	sentence, _ := d.app.explain(err)
	return errors.New(sentence)
}

func (a *app) runMCPLogin(ctx context.Context, server string, f mcpFlags) error {
	if f.timeout <= 0 {
		return fmt.Errorf("%w: --timeout is %s: it must be positive", errUsage, f.timeout)
	}
	s, _, err := a.mcpSetup(server, f)
	if err != nil {
		return err
	}
	auth, err := a.authorization(s, keychainLimitPerson, nil)
	if err != nil {
		return err
	}
	lines, stopReading := a.pasted(ctx, f.noBrowser)
	defer stopReading()
	stopWaiting := func() {}
	defer func() { stopWaiting() }()
	issuer, tokens, err := auth.LogIn(ctx, mcp.Wish{}, mcp.Browsing{
		Timeout: f.timeout, Pasted: lines,
		ShowURL: func(target string) {
			if !f.noBrowser {
				a.say("Opening your browser. If nothing opens, go to:")
			}
			a.say("%s", a.terminal.Link(target))
			var ways []string
			if lines != nil {
				ways = []string{"paste here the URL that the browser ends up at"}
			}
			a.sayHowToReach(s.BaseURL, ways)
			stopWaiting = a.terminal.Wait("Waiting for you in the browser", f.timeout)
		},
		Open: func(ctx context.Context, target string) error {
			if f.noBrowser {
				return nil
			}
			return a.browse(ctx, target)
		},
		Opened: func(err error) {
			if err != nil {
				a.sayUnopened(err, ": open the URL above yourself.")
			}
		},
		Rejected: func(reason string) { a.say("Not that one: %s", words.Printable(reason)) },
		Advice:   func(err error) string { _, next := a.judge(err); return next },
	})
	stopWaiting()
	stopWaiting = func() {}
	switch {
	case errors.Is(err, mcp.ErrNoLogin):
		a.say("The server asks for no login: %s can be used as it is.", words.Printable(server))
		return nil
	case err != nil:
		return err
	}
	a.say("Logged in to %s at %s.", words.Printable(server), words.Printable(issuer))
	a.say("%s", tokenLife(tokens, time.Now()))
	return nil
}

func (a *app) runMCPLogout(ctx context.Context, server string) error {
	s, cfg, err := a.mcpSetup(server, mcpFlags{})
	if err != nil {
		return err
	}
	all, err := mcp.Sessions(s.StateDir, server)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		a.say("Nobody was logged in to %s.", words.Printable(server))
	}
	var failed []error
	for _, k := range all {
		of, err := a.configOf(k, cfg)
		if err == nil {
			err = a.logoutOf(ctx, of, logoutFlags{})
		}
		if err == nil {
			err = a.forgetMCPClient(ctx, k, s)
		}
		failed = append(failed, err)
	}
	return errors.Join(append(failed, mcp.Forget(ctx, s.StateDir, server))...)
}

// forgetMCPClient forgets the client that was registered for a session, if no other session is of that client. The next
// login registers another one: an authorization server that lost its clients can't say so before the person is there.
func (a *app) forgetMCPClient(ctx context.Context, k known.Client, s *mcpSetup) error {
	all, err := known.All(s.StateDir)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Issuer == k.Issuer && other.ClientID == k.ClientID {
			return nil
		}
	}
	store, err := a.openStore(k.Keystore, s.StateDir, keychainLimitPerson)
	if err != nil {
		return err
	}
	return mcp.ForgetClient(ctx, store, k.Issuer, k.ClientID)
}
