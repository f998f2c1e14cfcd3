package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/agent"
	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/kept"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// agentVariable names the socket of the agent that token, exec and credential ask in place of a keychain.
const agentVariable = "LOOPKEY_AGENT"

type agentFlags struct {
	socket  string
	allowed []string
	idToken bool
}

func (a *app) agent() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Hand out fresh tokens to your programs, over a Unix socket",
		Long: `Hands out access tokens over HTTP on a Unix socket, to programs that run as this
user and to no others, also in a container. With LOOPKEY_AGENT=PATH, token, exec
and credential ask the agent at that socket instead of a keychain.`,
		Example: `  loopkey agent &
  curl --unix-socket "$XDG_RUNTIME_DIR/loopkey/agent.sock" http://localhost/token
  docker run --user "$(id -u)" -v "$XDG_RUNTIME_DIR/loopkey:/loopkey" -e LOOPKEY_AGENT=/loopkey/agent.sock …`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runAgent(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.socket, "socket", "", "the socket's path (default $XDG_RUNTIME_DIR/loopkey/agent.sock)")
	flags.StringArrayVar(&f.allowed, "allow", nil,
		"hand out tokens for this audience too, beside the profile's and its hosts' (repeatable)")
	flags.BoolVar(&f.idToken, "allow-id-token", false, "hand out the ID token too")
	return cmd
}

func (a *app) runAgent(ctx context.Context, f agentFlags) error {
	acc, err := a.clientAccount()
	if err != nil {
		return err
	}
	if err := acc.config.Needs("audience"); err != nil {
		return err
	}
	if slices.Contains(f.allowed, "") {
		return fmt.Errorf("%w: --allow is empty: it is an audience", errUsage)
	}
	if _, err := acc.store.Head(ctx, acc.session.Name()); errors.Is(err, keystore.ErrUnavailable) {
		return err
	}
	path, err := a.agentSocket(f.socket, acc.config)
	if err != nil {
		return err
	}
	listener, err := listenSocket(ctx, path)
	if err != nil {
		return err
	}
	a.say("Handing out tokens of profile %q. Programs find this agent by LOOPKEY_AGENT=%s",
		words.Printable(acc.config.Profile), words.Printable(quote(path)))
	return listener.Serve(ctx, agent.New(agent.Config{
		Source:  recorded{kept.New(acc.session, clock.Now), a.recorder(acc.config, "agent", "")},
		Profile: acc.config.Profile, Audience: acc.config.Audience,
		Audiences: append(acc.config.Hosts.Audiences("agent"), f.allowed...), IDTokens: f.idToken,
		Explain: func(err error) string { sentence, _ := a.explain(err); return sentence },
		Session: acc.session.Name(), Keystore: acc.config.Keystore, Changed: acc.session.Changed,
	}))
}

// agentSocket returns the path of the agent's socket, and makes the folder of the usual one.
func (a *app) agentSocket(given string, cfg *config.Config) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	path := a.usualAgent(cfg)
	if err := private.Dir(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("the agent's folder: %w", err)
	}
	return path, nil
}

// usualAgent returns where an agent's socket is if nobody chose another place: in the runtime directory, or in the
// state folder where the system has no such directory.
func (a *app) usualAgent(cfg *config.Config) string {
	folder := cfg.StateDir
	if runtime := a.lookup("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		folder = filepath.Join(runtime, "loopkey")
	}
	return filepath.Join(folder, "agent.sock")
}

// A readyFirst is a session whose tokens come from the memory of a running agent, where that has them ready.
type readyFirst struct {
	*session.Session
	ready func() agent.Ready
}

// readyFirst returns the source of an account's tokens that asks a running agent before the keystore.
func (a *app) readyFirst(acc *account) credential.Source {
	socket := a.usualAgent(acc.config)
	return readyFirst{acc.session, func() agent.Ready {
		return agent.Ready{
			Socket: socket, Session: acc.session.Name(), Keystore: acc.config.Keystore, Changed: acc.session.Changed(),
		}
	}}
}

// AccessToken is session.Session.AccessToken.
func (s readyFirst) AccessToken(ctx context.Context, r session.Request) (session.AccessToken, error) {
	if !r.Proves { // the agent gives no key away
		if t, ok := s.ready().AccessToken(ctx, r); ok {
			return t, nil
		}
	}
	return s.Session.AccessToken(ctx, r)
}

// IDToken is session.Session.IDToken.
func (s readyFirst) IDToken(
	ctx context.Context, minLifetime time.Duration, force bool,
) (provider.Secret, time.Time, error) {
	if !force {
		if token, expiry, ok := s.ready().IDToken(ctx, minLifetime); ok {
			return token, expiry, nil
		}
	}
	return s.Session.IDToken(ctx, minLifetime, force)
}

// listenSocket listens on a Unix socket. A path at which no socket can be is an error of usage.
func listenSocket(ctx context.Context, path string) (*localhost.Listener, error) {
	l, err := localhost.ListenSocket(ctx, path)
	for _, wrong := range []error{localhost.ErrNoSocket, localhost.ErrSocketTooLong, localhost.ErrSocketPlace} {
		if errors.Is(err, wrong) {
			return nil, usageError(err)
		}
	}
	return l, err
}
