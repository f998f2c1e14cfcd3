package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/kept"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/proxy"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// errProxyPort says that the port of --listen can't be had.
var errProxyPort = errors.New("the proxy can't listen there")

type proxyFlags struct{ to, listen, socket string }

func (a *app) proxy() *cobra.Command {
	var f proxyFlags
	cmd := &cobra.Command{
		Use:   "proxy --to URL",
		Short: "Pass local programs' requests to a server, with a fresh token",
		Long: `Listens on localhost and passes requests on to one server that the profile lists,
with a fresh access token. It prints one line, the URL for your programs: the
secret in it is new each time, and replaced by the token. No web page gets
through. Ctrl-C ends it.`,
		Example: `  loopkey proxy --to https://api.acme.example
  loopkey proxy --to https://api.acme.example --socket /run/user/1000/api.sock`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runProxy(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "", "the server's URL, without a path, such as https://api.acme.example")
	flags.StringVar(&f.listen, "listen", "", "a loopback address and port (default localhost:0: any free port)")
	flags.StringVar(&f.socket, "socket", "", "listen on a Unix socket instead, for this user alone and without a secret")
	return cmd
}

// runProxy serves until ctx ends. What the folder's .env says does not count: only the profile says where tokens go.
func (a *app) runProxy(ctx context.Context, f proxyFlags) error {
	a.isolated = true
	if f.listen != "" && f.socket != "" {
		return fmt.Errorf("%w: --listen and --socket exclude each other", errUsage)
	}
	address, port, err := parseListen(f.listen)
	if err != nil {
		return err
	}
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	to, h, err := proxyTarget(cfg.Hosts, f.to)
	if err != nil {
		return err
	}
	tokens, err := a.keptTokens(cfg)
	if err != nil {
		return err
	}
	ask := credential.AskFor(h, hosts.AccessToken, time.Minute)
	ask.Proves = true
	pass := proxy.Config{
		To: to, Tokens: tokens, Ask: ask,
		Explain: func(err error) string { sentence, _ := a.explain(err); return sentence },
	}
	pass.Ask.Host = to.HostPort()
	told := ""
	var telling sync.Mutex
	pass.Tell = func(err error) {
		telling.Lock()
		defer telling.Unlock()
		if sentence, _ := a.explain(err); sentence != told { // not for each request
			told = sentence
			a.say("%s", sentence)
		}
	}
	if _, err := tokens.Token(ctx, pass.Ask); err != nil { // it says now that nobody is logged in
		if err := a.stepUp(ctx, a.opened, nil, err); err != nil {
			return err
		}
	}
	if f.socket != "" {
		return a.proxyAtSocket(ctx, f.socket, pass)
	}
	return a.proxyAtPort(ctx, address, port, pass)
}

func (a *app) proxyAtPort(ctx context.Context, address netip.Addr, port int, pass proxy.Config) error {
	listen := localhost.ListenPort
	if address.IsValid() {
		listen = func(ctx context.Context, port int) (*localhost.Listener, error) {
			return localhost.ListenAt(ctx, address, port)
		}
	} else {
		address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	listener, err := listen(ctx, port)
	if err != nil {
		return fmt.Errorf("%w: %v", errProxyPort, err) //nolint:errorlint // advice about that is for serve and login
	}
	defer listener.Close()
	pass.Secret = provider.NewSecret(rand.Text()) // 130 bits
	host := net.JoinHostPort(address.String(), strconv.Itoa(listener.Port()))
	listener.TLSHello = func() { a.say("A program asked for https, and http://%s is plain http.", host) }
	handler := localhost.OwnHost(listener.Port(), appName, proxy.New(pass))
	return a.proxyUntilEnd(ctx, listener, handler, "http://loopkey:"+pass.Secret.Reveal()+"@"+host, pass.To)
}

func (a *app) proxyAtSocket(ctx context.Context, path string, pass proxy.Config) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	listener, err := listenSocket(ctx, path)
	if err != nil {
		return err
	}
	defer listener.Close()
	return a.proxyUntilEnd(ctx, listener, proxy.New(pass), path, pass.To)
}

// proxyUntilEnd prints where programs find the proxy, and serves until ctx ends.
func (a *app) proxyUntilEnd(
	ctx context.Context, listener *localhost.Listener, handler http.Handler, where string, to hosts.Origin,
) error {
	listener.ForApp = true
	if err := a.print("raw", where, nil); err != nil {
		return err
	}
	a.say("Requests to that address go on to %s. Ctrl-C ends it.", to)
	return listener.Serve(ctx, handler)
}

// keptTokens returns the tokens that a server hands out: from memory, or of the agent that LOOPKEY_AGENT names.
func (a *app) keptTokens(cfg *config.Config) (credential.Tokens, error) {
	source, cfg, err := a.sourceOf(cfg)
	if err != nil {
		return nil, err
	}
	if err := cfg.Needs("audience"); err != nil {
		return nil, err
	}
	if a.lookup(agentVariable) == "" {
		source = kept.New(a.opened.session, clock.Now)
	}
	return credential.Session{Source: source, Audience: cfg.Audience, Note: a.recorder(cfg, "proxy", "").noteFor}, nil
}

// proxyTarget returns the server of --to, and its entry.
func proxyTarget(list hosts.List, to string) (hosts.Origin, *hosts.Host, error) {
	if to == "" {
		return hosts.Origin{}, nil, fmt.Errorf("%w: proxy needs a server: --to https://api.acme.example", errUsage)
	}
	o, err := hosts.ParseURL(to)
	if err != nil {
		return o, nil, fmt.Errorf("%w: --to %q: %w: write it as https://api.acme.example",
			errUsage, words.Line(to, 200), err)
	}
	if _, rest, _ := strings.Cut(to, "://"); strings.ContainsAny(strings.TrimSuffix(rest, "/"), "/?#") {
		return o, nil, fmt.Errorf("%w: --to is a server alone, such as %s: the path comes with each request", errUsage, o)
	}
	h := list.Match("proxy", o)
	if h == nil {
		return o, nil, credential.Unlisted(list, "proxy", o)
	}
	return o, h, nil
}

// parseListen returns the address and the port of --listen. The zero address stands for localhost, which is both
// loopback addresses.
func parseListen(listen string) (netip.Addr, int, error) {
	if listen == "" {
		return netip.Addr{}, 0, nil
	}
	host, text, err := net.SplitHostPort(listen)
	port, portErr := strconv.ParseUint(text, 10, 16)
	if err == nil && portErr == nil {
		switch host {
		case "localhost":
			return netip.Addr{}, int(port), nil
		case "127.0.0.1", "::1":
			return netip.MustParseAddr(host), int(port), nil
		}
	}
	return netip.Addr{}, 0, fmt.Errorf("%w: --listen is %q: it is localhost:PORT, 127.0.0.1:PORT or [::1]:PORT",
		errUsage, words.Line(listen, 100))
}
