package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/agent"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// tokenFlags are the flags that say which token a command wants.
type tokenFlags struct {
	minLifetime time.Duration
	force       bool
	copy        bool // into the clipboard, not to stdout
	idToken     bool
	need        needFlags // what its authentication has to be
	output      string
	proof       proofFlags
}

func (a *app) token() *cobra.Command {
	var f tokenFlags
	var g grantFlags
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a fresh access token",
		Long: `Prints the access token and a newline, nothing else. A token that is still good
costs the provider no request and the keychain one read; another is renewed
first, by one process at a time.`,
		Example: `  curl -H "$(loopkey token -o header)" https://api.example.com/
  loopkey token --audience https://other.example.com/ -o json
  loopkey token --challenge 'Bearer error="insufficient_user_authentication", acr_values="mfa"'`,
		Args: f.proof.args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.any() && f.need.isGiven() {
				return fmt.Errorf("%w: --acr, --max-age and --challenge are for the session's own tokens", errUsage)
			}
			if f.proof.wanted {
				return a.runProof(cmd.Context(), f, g.any())
			}
			if g.any() {
				return a.runGrant(cmd.Context(), f, g)
			}
			return a.runToken(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.idToken, "id-token", false, "print the ID token instead")
	flags.DurationVar(&f.minLifetime, "min-ttl", time.Minute, "renew a token that has less left")
	flags.BoolVar(&f.force, "force-refresh", false, "renew even a good token")
	f.need.add(flags)
	flags.StringVarP(&f.output, "output", "o", "raw", "raw, json or header")
	flags.BoolVar(&f.copy, "copy", false, "put the token into the clipboard for 45 seconds, and print nothing")
	g.add(flags)
	f.proof.add(flags)
	return cmd
}

// check refuses flags that no token can meet.
func (f tokenFlags) check() error {
	if f.minLifetime < 0 {
		return fmt.Errorf("%w: --min-ttl is %s: it can't be negative", errUsage, f.minLifetime)
	}
	_, _, err := f.need.read()
	return err
}

// checkToken is check for the command token, which prints the token itself, or copies it.
func (a *app) checkToken(f tokenFlags) error {
	if err := checkOutput(f.output, "raw", "json", "header"); err != nil {
		return err
	}
	if f.copy && f.output == "json" {
		return fmt.Errorf("%w: --copy takes -o raw or header", errUsage)
	}
	if err := f.check(); err != nil || !f.copy {
		return err
	}
	return a.checkClipboard()
}

func (a *app) runToken(ctx context.Context, f tokenFlags) error {
	if err := a.checkToken(f); err != nil {
		return err
	}
	if f.need.isGiven() && f.idToken {
		return fmt.Errorf("%w: --acr, --max-age and --challenge are for an access token", errUsage)
	}
	source, cfg, err := a.source()
	if err != nil {
		return err
	}
	if err := cfg.Needs("audience"); err != nil && !f.idToken {
		return err
	}
	if f.idToken {
		token, expiry, err := source.IDToken(ctx, f.minLifetime, f.force)
		if err != nil {
			return err
		}
		a.recorder(cfg, f.tool(), "").note(idToken, "", token)
		return a.handOut(ctx, f, token, credential.JSONOfID(token, expiry))
	}
	token, _, err := a.accessToken(ctx, source, a.request(cfg, f))
	if err != nil {
		return err
	}
	a.recorder(cfg, f.tool(), "").note(accessToken, token.Audience, token.Token)
	return a.handOut(ctx, f, token.Token, credential.JSONOf(token))
}

// tool is the name of the command in the journal.
func (f tokenFlags) tool() string {
	if f.copy {
		return "token --copy"
	}
	return "token"
}

// handOut prints a token, or copies it.
func (a *app) handOut(ctx context.Context, f tokenFlags, token provider.Secret, asJSON any) error {
	switch {
	case f.copy && f.output == "header":
		return a.copyOut(ctx, "Authorization: Bearer "+token.Reveal())
	case f.copy:
		return a.copyOut(ctx, token.Reveal())
	}
	return a.print(f.output, token.Reveal(), asJSON)
}

// source returns what the tokens of a command come from: the agent that LOOPKEY_AGENT names, and else the session.
// Where an agent is named no keychain is asked, whatever the agent says. If none is named, one that runs at the usual
// place spares the keychain a read.
func (a *app) source() (credential.Source, *config.Config, error) {
	cfg, err := a.configure()
	if err != nil {
		return nil, nil, err
	}
	source, cfg, err := a.sourceOf(cfg)
	if err == nil && a.lookup(agentVariable) == "" {
		source = a.readyFirst(a.opened)
	}
	return source, cfg, err
}

// sourceOf is source for a configuration that was read before.
func (a *app) sourceOf(cfg *config.Config) (credential.Source, *config.Config, error) {
	if path := a.lookup(agentVariable); path != "" {
		profile := ""
		if cfg.ProfileNamed() {
			profile = cfg.Profile
		}
		return agent.Dial(path, profile), cfg, nil
	}
	cfg, err := a.sessionOf(cfg)
	if err != nil {
		return nil, nil, err
	}
	acc, err := a.open(cfg, keychainLimitScript)
	if err != nil {
		return nil, nil, err
	}
	return acc.session, acc.config, nil
}

// request returns what the flags, which were checked, and the configuration ask for. A configured scope is what a login
// asks for; only --scope asks for a token with fewer scopes.
func (a *app) request(cfg *config.Config, f tokenFlags) session.Request {
	need, scope, _ := f.need.read()
	return session.Request{
		Audience: cfg.Audience, Scope: scopeWith(a.flags["scope"], scope), MinLifetime: f.minLifetime, Force: f.force,
		Need: need,
	}
}
