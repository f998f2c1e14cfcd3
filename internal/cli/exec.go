package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/sts"
	"github.com/loopkey/loopkey/provider"
)

func (a *app) exec() *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG]...",
		Short: "Run a command with a fresh access token in its environment",
		Long: `Runs a command with the access token in ACCESS_TOKEN (or --env NAME), and in
ACCESS_TOKEN_FILE the path of a file that loopkey keeps fresh while the command
runs and removes after it. The command's exit code is loopkey's.

With --aws-role-arn, tools of AWS get that role: AWS_WEB_IDENTITY_TOKEN_FILE names
such a file with the ID token. Variables with AWS keys or a profile, which would
come first, are left out.`,
		Example: `  loopkey exec -- ./deploy.sh
  loopkey exec --env GITLAB_TOKEN -- terraform apply
  loopkey exec --aws-role-arn arn:aws:iam::123456789012:role/dev -- aws s3 ls`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: exec needs a command: %s -- COMMAND", errUsage, a.situation(nil).line("exec"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runExec(cmd.Context(), f, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // flags after the command are the command's own
	flags.StringVar(&f.name, "env", "ACCESS_TOKEN", "the variable that holds the token")
	flags.StringVar(&f.role, "aws-role-arn", "", "let AWS's tools assume a role by the ID token")
	flags.DurationVar(&f.minLifetime, "min-ttl", time.Minute, "renew a token that has less left")
	f.need.add(flags)
	return cmd
}

type execFlags struct {
	tokenFlags
	name string // of the variable with the access token
	role string // of AWS; "": none
}

func (f execFlags) check() error {
	if f.name == "" || strings.ContainsAny(f.name, "=\x00") {
		return fmt.Errorf("%w: --env is %q: it is the name of a variable", errUsage, f.name)
	}
	if f.role != "" {
		if _, err := sts.ParseRole(f.role); err != nil {
			return fmt.Errorf("--aws-role-arn: %w", err)
		}
	}
	return f.tokenFlags.check()
}

// A granting is what a command gets: variables, and files that are kept fresh while it runs.
type granting struct {
	environ []string
	files   []*tokenFile
	keep    []func(context.Context) (end func()) // begins to keep a file fresh
}

// end removes the files.
func (g *granting) end() {
	for _, f := range g.files {
		f.remove()
	}
}

// add makes a file for a token, and names it in a variable.
func (g *granting) add(
	a *app, cfg *config.Config, variable string, token provider.Secret, expiry time.Time, fresh fresher,
) error {
	file, err := newTokenFile(a.lookup("XDG_RUNTIME_DIR"), cfg.StateDir, token)
	if err != nil {
		return err
	}
	g.files = append(g.files, file)
	g.environ = append(g.environ, variable+"="+file.path)
	g.keep = append(g.keep, func(ctx context.Context) func() { return file.startKeeping(ctx, fresh, expiry) })
	return nil
}

// grant returns what the flags say that a command gets. The caller calls end.
func (a *app) grant(ctx context.Context, f execFlags, command string) (*granting, error) {
	g := &granting{environ: environ.WithoutSecrets(a.env)}
	source, cfg, err := a.source()
	if err == nil {
		err = cfg.Needs("audience")
	}
	if err != nil {
		return g, err
	}
	source = recorded{source, a.recorder(cfg, "exec", command)}
	token, request, err := a.accessToken(ctx, source, a.request(cfg, f.tokenFlags))
	if err != nil {
		return g, err
	}
	g.environ = append(g.environ, f.name+"="+token.Token.Reveal())
	err = g.add(a, cfg, "ACCESS_TOKEN_FILE", token.Token, token.Expiry,
		func(ctx context.Context, least time.Duration) (provider.Secret, time.Time, error) {
			r := request
			r.MinLifetime = max(r.MinLifetime, least)
			t, err := source.AccessToken(ctx, r)
			return t.Token, t.Expiry, err
		})
	if err != nil || f.role == "" {
		return g, err
	}
	idToken, expiry, err := source.IDToken(ctx, f.minLifetime, false)
	if err != nil {
		return g, err
	}
	g.environ = append(environ.Without(g.environ, awsCredentials()...),
		"AWS_ROLE_ARN="+f.role, "AWS_ROLE_SESSION_NAME="+credential.SessionName(idToken))
	return g, g.add(a, cfg, "AWS_WEB_IDENTITY_TOKEN_FILE", idToken, expiry,
		func(ctx context.Context, least time.Duration) (provider.Secret, time.Time, error) {
			return source.IDToken(ctx, max(f.minLifetime, least), false)
		})
}

// awsCredentials are the variables that AWS's tools look at before they look for a web identity.
func awsCredentials() []string {
	return []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN",
		"AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
	}
}

func (a *app) runExec(ctx context.Context, f execFlags, command []string) error {
	if err := f.check(); err != nil {
		return err
	}
	granted, err := a.grant(ctx, f, command[0])
	defer granted.end()
	if err != nil {
		return err
	}

	// From here on the command gets the signals, and loopkey ends when the command does. Under nohup SIGHUP stays ignored.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, slices.DeleteFunc(slices.Clone(passedSignals), signal.Ignored)...)
	defer signal.Stop(signals)

	child := exec.Command(command[0], command[1:]...) //nolint:noctx,gosec // the person's own: signals end it, no ctx
	child.Stdin, child.Stdout, child.Stderr = a.stdin, a.stdout, a.stderr
	child.Env = granted.environ
	a.allowCores() // the command may dump core
	err = child.Start()
	forbidCores()
	if err != nil {
		return a.notStarted(command[0], err)
	}
	var ends []func()
	for _, keep := range granted.keep {
		ends = append(ends, keep(ctx))
	}
	passingEnd := passSignals(child.Process, signals)
	err = child.Wait()
	passingEnd()
	for _, end := range ends {
		end()
	}
	return childResult(err)
}

// passSignals sends the signals that loopkey gets on to the command, until end is called.
func passSignals(command *os.Process, signals chan os.Signal) (end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sig := range signals {
			passSignal(command, sig)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// notStarted returns the exit code of a shell: 127 for a command that is not found, 126 for one that can't be run.
func (a *app) notStarted(name string, err error) error {
	reason, code := err, 126
	if pathError := new(exec.Error); errors.As(err, &pathError) {
		reason = pathError.Err
	} else if pathError := new(os.PathError); errors.As(err, &pathError) {
		reason = pathError.Err
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		code = 127
	}
	a.say("loopkey: %s can't be run: %v", name, reason)
	return &exitError{code: code}
}

// childResult makes the end of a command loopkey's own.
func childResult(err error) error {
	if err == nil {
		return nil
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return &exitError{code: exitCode(exit.ProcessState)}
	}
	return fmt.Errorf("waiting for the command: %w", err)
}
