// Package cli is loopkey's command line: the commands, a file each, and the one
// table from errors to exit codes and advice.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/loopback"
)

// appName is this program on the pages of its logins.
const appName = "loopkey"

// app is one run of loopkey: the outside world as it was given.
type app struct {
	args   []string
	env    []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer         // a child of ours writes there too; loopkey itself through the terminal
	flags  map[string]string // the configuration's flags that were set

	terminal    *terminal.Terminal                             // owns what is said, asked and pasted
	allowCores  func()                                         // undoes forbidCores
	isolated    bool                                           // the directory's .env is not read
	openBrowser func(ctx context.Context, target string) error // nil: the person's own
	opened      *account                                       // the last one, which advice is for; nil: none
}

// Main runs loopkey once and returns its exit code. It prints the answer on
// stdout and everything else on stderr.
func Main(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	log.SetOutput(io.Discard) // not ours: GODEBUG=http2debug=2 has net/http write codes and tokens there
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP) // a terminal that is closed leaves nothing half done
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGHUP) // the shell and the system may both say so: the second time ends nothing
		defer signal.Stop(again)
	}
	ctx, stop := signal.NotifyContext(ctx, ends...)
	defer stop()
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends what the first one could not
	a := &app{args: args, env: env, stdin: stdin, stdout: stdout, stderr: stderr, flags: map[string]string{}, allowCores: forbidCores()}
	a.terminal = terminal.New(stdin, stderr, a.lookup("TERM"))
	err := a.root().ExecuteContext(ctx) //nolint:contextcheck // cobra hands it to the commands
	if err != nil && ctx.Err() != nil && !errors.As(err, new(*exitError)) {
		err = errInterrupted
	}
	return a.report(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "loopkey",
		Short: "Log in through your browser, and hand local tools a fresh token",
		Long: `loopkey logs you in to Auth0 (or any OpenID Connect provider) through your own
browser, keeps the session in the OS keychain, and gives local tools a fresh
token whenever they ask.`,
		Example: `  loopkey login --domain acme.eu.auth0.com --client-id s6BhdRkqt3
  curl -H "$(loopkey token -o header)" https://api.example.com/
  loopkey demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		Version:       version(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetArgs(a.args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("loopkey {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w: see %s --help", errUsage, err, cmd.CommandPath())
	})
	a.configFlags(root.PersistentFlags())
	root.AddCommand(a.login(), a.logout(), a.status(), a.token(), a.exec(), a.serve(), a.demo(), a.version(), a.renew())
	return root
}

// knownCommand refuses what is no command of loopkey's, and names one that was perhaps meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	next := "see loopkey --help"
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		next = "did you mean loopkey " + similar[0] + "?"
	}
	return fmt.Errorf("%w: there is no command %q: %s", errUsage, args[0], next)
}

// noArgs refuses arguments with the exit code of a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no argument %q: see %s --help", errUsage, cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}

// lookup returns a variable of the environment that was given to Main, or "".
func (a *app) lookup(name string) string { return environ.Lookup(a.env, name) }

// browse opens a URL in the person's browser.
func (a *app) browse(ctx context.Context, target string) error {
	if a.openBrowser != nil {
		return a.openBrowser(ctx, target)
	}
	return loopback.OpenBrowser(ctx, target)
}
