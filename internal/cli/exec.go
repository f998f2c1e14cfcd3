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

	"github.com/loopkey/loopkey/internal/environ"
)

func (a *app) exec() *cobra.Command {
	var f tokenFlags
	var name string
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARG]...",
		Short: "Run a command with a fresh access token in its environment",
		Long: `Runs a command with the access token in ACCESS_TOKEN (or --env NAME), and in
ACCESS_TOKEN_FILE the path of a file that loopkey keeps fresh while the command
runs and removes after it. The command's exit code is loopkey's.`,
		Example: `  loopkey exec -- ./deploy.sh
  loopkey exec --env GITLAB_TOKEN -- terraform apply`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: exec needs a command: loopkey exec -- COMMAND", errUsage)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runExec(cmd.Context(), f, name, args)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // flags after the command are the command's own
	flags.StringVar(&name, "env", "ACCESS_TOKEN", "the variable that holds the token")
	flags.DurationVar(&f.minLifetime, "min-ttl", time.Minute, "renew a token that has less left")
	return cmd
}

func (a *app) runExec(ctx context.Context, f tokenFlags, name string, command []string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Errorf("%w: --env is %q: it is the name of a variable", errUsage, name)
	}
	if err := f.check(); err != nil {
		return err
	}
	source, cfg, err := a.source()
	if err != nil {
		return err
	}
	if err := cfg.Needs("audience"); err != nil {
		return err
	}
	request := a.request(cfg, f)
	token, err := source.AccessToken(ctx, request)
	if err != nil {
		return err
	}
	file, err := newTokenFile(a.lookup("XDG_RUNTIME_DIR"), cfg.StateDir, token)
	if err != nil {
		return err
	}
	defer file.remove()

	// From here on the command gets the signals, and loopkey ends when the command does. Under nohup SIGHUP stays ignored.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, slices.DeleteFunc(slices.Clone(passedSignals), signal.Ignored)...)
	defer signal.Stop(signals)

	child := exec.Command(command[0], command[1:]...) //nolint:noctx,gosec // the person's own: signals end it, no ctx
	child.Stdin, child.Stdout, child.Stderr = a.stdin, a.stdout, a.stderr
	child.Env = append(environ.WithoutSecrets(a.env), name+"="+token.Token.Reveal(), "ACCESS_TOKEN_FILE="+file.path)
	a.allowCores() // the command may dump core
	err = child.Start()
	forbidCores()
	if err != nil {
		return a.notStarted(command[0], err)
	}
	keepingEnd := file.startKeeping(ctx, source, request, token)
	passingEnd := passSignals(child.Process, signals)
	err = child.Wait()
	passingEnd()
	keepingEnd()
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
