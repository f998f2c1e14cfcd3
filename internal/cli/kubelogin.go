package cli

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
)

// kubelogin is kubelogin's get-token. Its flags are read only when it runs: they are many, and every other command
// would pay for them.
func (a *app) kubelogin() *cobra.Command {
	return &cobra.Command{
		Use:    "get-token",
		Hidden: true,
		Short:  "Take kubelogin's command line",
		Long: `loopkey oidc-login get-token, or a link to loopkey named kubectl-oidc_login, takes
the arguments that a kubeconfig has for kubelogin. --oidc-issuer-url and
--oidc-client-id say whose session is meant; no other session is used.
--oidc-extra-scope, --oidc-use-access-token, --oidc-auth-request-extra-params,
--grant-type device-code, --skip-open-browser, --browser-command,
--authentication-timeout-sec and --force-refresh mean what they mean there.`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var k credential.Kubelogin
			set := pflag.NewFlagSet("get-token", pflag.ContinueOnError)
			k.Flags(set)
			a.configFlags(set)
			minLifetime := set.Duration("min-ttl", time.Minute, "renew a token that has less left")
			switch err := set.Parse(args); {
			case errors.Is(err, pflag.ErrHelp):
				return cmd.Help()
			case err != nil:
				return fmt.Errorf("%w: get-token: %w", errUsage, err)
			}
			if err := k.Check(set); err != nil {
				return err
			}
			return a.runKubelogin(cmd.Context(), &k, *minLifetime)
		},
	}
}

func (a *app) runKubelogin(ctx context.Context, k *credential.Kubelogin, minLifetime time.Duration) error {
	if ignored := k.Ignored(); ignored != "" {
		a.say("loopkey: %s", ignored)
	}
	a.params = k.Params
	if k.BrowserCommand != "" {
		a.openBrowser = func(ctx context.Context, target string) error {
			return a.runBrowser(ctx, k.BrowserCommand, target)
		}
	}
	return a.runCredential(ctx, toolCall{
		tool: "kubernetes", run: k.Run, minLifetime: minLifetime,
		configure: func() (*config.Config, error) { return a.configOfClient(k.Issuer, k.ClientID, k.ExtraScopes) },
		login:     loginFlags{device: k.Device, noBrowser: k.NoBrowser, timeout: k.Timeout},
	})
}

// launchWait is how long a program that opens a URL has to fail. A browser that goes on running has not.
const launchWait = time.Second

// runBrowser runs a program with a URL as its only argument, as kubelogin does.
func (a *app) runBrowser(ctx context.Context, program, target string) error {
	cmd := exec.Command(program, target) //nolint:noctx,gosec // the person's own browser, which outlives the login
	cmd.Env, cmd.SysProcAttr = environ.WithoutSecrets(a.env), apart()
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", words.Printable(program), withoutCommand(err))
	}
	go func() { ended <- cmd.Wait() }()
	timer := time.NewTimer(launchWait)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w", words.Printable(program), withoutCommand(err))
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// withoutCommand returns an error of a program without its command line, which has the URL in it.
func withoutCommand(err error) error {
	if e := new(exec.Error); errors.As(err, &e) {
		return e.Err
	}
	if e := new(exec.ExitError); errors.As(err, &e) {
		return errors.New(e.String())
	}
	return errors.New("it could not be run")
}

// configOfClient returns the configuration of a client at an issuer: that of the profile in config.toml which names
// both, else that of the one session that the client has. Without either, the client is one that nobody has logged in
// to yet. A profile that the person named is used in any case, with this issuer and client in it.
func (a *app) configOfClient(issuer, clientID string, scopes []string) (*config.Config, error) {
	profile, session, err := a.profileOf(issuer, clientID)
	if err != nil {
		return nil, err
	}
	if profile != "" {
		a.flags["profile"] = profile
	}
	cfg, err := a.configOfSession(session)
	if err == nil && (cfg.Issuer != issuer || cfg.ClientID != clientID) {
		delete(a.flags, "domain")
		a.flags["issuer"], a.flags["client-id"] = issuer, clientID
		cfg, err = a.configure()
	}
	if err != nil {
		return nil, err
	}
	asked := strings.Fields(cfg.Scope)
	for _, scope := range scopes {
		if !slices.Contains(asked, scope) {
			asked = append(asked, scope)
		}
	}
	if more := strings.Join(asked, " "); more != cfg.Scope {
		a.flags["scope"] = more
		return a.configOfSession(session)
	}
	return cfg, nil
}

// configOfSession returns the configuration, for the client of a session if one is given.
func (a *app) configOfSession(session *known.Client) (*config.Config, error) {
	cfg, err := a.configure()
	if err == nil && session != nil {
		cfg.Remember(*session)
	}
	return cfg, err
}

// profileOf returns the profile whose issuer and client these are, "" for the usual one, and the session, where only
// that tells.
func (a *app) profileOf(issuer, clientID string) (profile string, session *known.Client, err error) {
	cfg, err := a.configure()
	if err != nil || cfg.ProfileNamed() {
		return "", nil, err
	}
	names, err := config.Profiles(config.Input{Environ: a.env})
	if err != nil {
		return "", nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		c, err := config.Load(config.Input{Flags: map[string]string{"profile": name}, Environ: a.env, Alone: true})
		return err != nil || c.Issuer != issuer || c.ClientID != clientID
	})
	sessions, err := known.All(cfg.StateDir)
	if err != nil {
		return "", nil, err
	}
	sessions = slices.DeleteFunc(sessions, func(k known.Client) bool {
		return k.Issuer != issuer || k.ClientID != clientID
	})
	switch {
	case len(names) > 1:
		if len(sessions) == 1 && slices.Contains(names, sessions[0].Profile) {
			return usualName(sessions[0].Profile, cfg), nil, nil
		}
		return "", nil, fmt.Errorf("%w: the profiles %s all have this issuer and client: say which with LOOPKEY_PROFILE",
			errUsage, strings.Join(names, ", "))
	case len(names) == 1:
		return usualName(names[0], cfg), nil, nil
	case len(sessions) > 1:
		return "", nil, fmt.Errorf("%w: several profiles are logged in to this issuer and client: "+
			"say which with LOOPKEY_PROFILE", errUsage)
	case len(sessions) == 1:
		return usualName(sessions[0].Profile, cfg), &sessions[0], nil
	}
	return "", nil, nil
}

// usualName returns "" for the profile that a configuration has without being told.
func usualName(profile string, cfg *config.Config) string {
	if profile == cfg.Profile {
		return ""
	}
	return profile
}
