// Package cli is loopkey's command line. Each command has a file that is named after it. The exit codes are in the
// table of outcomes, and what a person can do about an error is in the table of advices.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
)

// appName is this program on the pages of its logins.
const appName = "loopkey"

// An app is one run of loopkey.
type app struct {
	args   []string
	env    []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer         // for the commands that loopkey starts; loopkey itself writes to the terminal
	flags  map[string]string // the flags of the configuration that were given, by name
	params []string          // of the flag --param: name=value

	terminal     *terminal.Terminal                             // everything for the person goes through it
	allowCores   func()                                         // undoes forbidCores
	catchSignals func()                                         // makes a signal end the context, from the first call on
	isolated     bool                                           // no ./.env is read
	openBrowser  func(ctx context.Context, target string) error // nil: the person's own browser
	visited      bool                                           // openBrowser needs no person
	opened       *account                                       // the one that was opened last, for advice; nil: none
	config       *config.Config                                 // the one that was read last, for advice; nil: none
	command      *cobra.Command                                 // that runs, for advice; nil: none
	loginFlags   []string                                       // of a login, to be given again, for advice
	serveFlags   []string                                       // of a serve, likewise
	passphrases  map[string]*passphrase                         // of encrypted files, by the keystore's name
	server       string                                         // the MCP server that the command is about, for advice
	verbose      bool                                           // loopkey says what it does
	traced       *slog.Logger                                   // where it says that; nil: trace makes it
	began        time.Time                                      // when this run did
	unwritten    error                                          // of the first write by cobra that failed
}

// A helpWriter is the standard output for what cobra writes, help and completions. It looks at no error of a write.
type helpWriter struct{ app *app }

func (w helpWriter) Write(p []byte) (int, error) {
	n, err := w.app.stdout.Write(p)
	if w.app.unwritten == nil {
		w.app.unwritten = err
	}
	return n, err
}

// Main runs loopkey once and returns its exit code. It prints what was asked for on stdout, and everything else on
// stderr.
func Main(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	log.SetOutput(io.Discard) // with GODEBUG=http2debug=2, net/http logs codes and tokens
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &app{
		args: args, env: env, stdin: stdin, stdout: stdout, stderr: stderr,
		began: time.Now(), flags: map[string]string{}, passphrases: map[string]*passphrase{}, allowCores: forbidCores(),
	}
	a.catchSignals = sync.OnceFunc(func() { catchSignals(ctx, cancel) })
	a.terminal = terminal.New(stdin, stderr, a.env, a.showsUnicode)
	err := a.root().ExecuteContext(ctx)
	if err == nil {
		err = notWritten(a.unwritten)
	}
	if err != nil && ctx.Err() != nil && !errors.As(err, new(*exitError)) {
		err = errInterrupted
	}
	return a.traceEnd(a.report(err))
}

// Commands returns the tree of loopkey's commands, for what writes the manual and the completions.
func Commands() *cobra.Command {
	a := &app{args: []string{"help"}, flags: map[string]string{}}
	root := a.root()
	root.InitDefaultHelpFlag()
	root.InitDefaultHelpCmd()
	return root
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "loopkey",
		Short: "Log in through your browser, and hand local tools a fresh token",
		Long: `loopkey logs you in to Auth0 (or any OpenID Connect provider) through your own
browser, keeps the session in the OS keychain, and gives local tools a fresh
token whenever they ask.`,
		Example: `  loopkey setup
  loopkey login --domain acme.eu.auth0.com --client-id s6BhdRkqt3
  curl -H "$(loopkey token -o header)" https://api.example.com/
  loopkey demo`,
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       knownCommand,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asksVersion(cmd) {
				_, err := fmt.Fprintf(a.stdout, "loopkey %s\n", version())
				return err
			}
			if err := cmd.Help(); err != nil {
				return err
			}
			a.sayWhoIsIn() // last, where a person looks: the help is longer than many a window
			return nil
		},
	}
	root.SetArgs(a.args)
	root.SetIn(a.stdin)
	root.SetOut(helpWriter{a})
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown := new(pflag.NotExistError); errors.As(err, &unknown) {
			if meant := similar(unknown.GetSpecifiedName(), flagNames(cmd)); meant != "" {
				return fmt.Errorf("%w: %w: did you mean --%s?", errUsage, err, meant)
			}
		}
		return fmt.Errorf("%w: %w: see %s --help", errUsage, err, cmd.CommandPath())
	})
	a.configFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&a.verbose, "verbose", false, "say what loopkey does, without any secret")
	shortHelp(root)
	commands := a.commands()
	if only := chosen(commands, a.args, root.PersistentFlags()); only != nil {
		root.AddCommand(only.build())
		root.SetHelpCommand(&cobra.Command{Hidden: true}) // cobra would make one
		root.CompletionOptions.DisableDefaultCmd = true
		root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { a.begin(cmd, only.catchesLate) }
		return root
	}
	root.Flags().BoolP("version", "v", false, "version for loopkey")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { a.begin(cmd, false) }
	for _, c := range commands {
		root.AddCommand(c.build())
	}
	root.SetHelpCommand(help(root))
	root.InitDefaultCompletionCmd(a.args...)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" { // cobra shows its help for a shell that it does not know
			cmd.Args, cmd.RunE = knownShell, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	a.offer(root)
	return root
}

// help is cobra's help command with topics beside the commands. A name that is neither is an error.
func help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|TOPIC]",
		Short: "Help about a command or a topic",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, cmd := range root.Commands() {
				if cmd.IsAvailableCommand() {
					names = append(names, cmd.Name()+"\t"+cmd.Short)
				}
			}
			for _, t := range Topics() {
				names = append(names, t.Name+"\t"+t.Title)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			text := ""
			if len(args) == 1 {
				text = topic(args[0])
			}
			cmd, rest, err := root.Find(args)
			switch known := err == nil && len(rest) == 0; {
			case !known && text == "":
				return noHelp(root, args)
			case known && text != "": // a topic is more than its command, whose own help says the rest
				text += "\nThe command of that name: " + cmd.CommandPath() + " --help\n"
			case known:
				cmd.InitDefaultHelpFlag()
				return cmd.Help()
			}
			_, err = io.WriteString(root.OutOrStdout(), text)
			return err
		},
	}
}

// noHelp says that a name is neither a command nor a topic, and which one may have been meant.
func noHelp(root *cobra.Command, args []string) error {
	next := "see loopkey help"
	if meant := similar(args[0], append(commandNames(root), topicNames()...)); meant != "" {
		next = "did you mean loopkey help " + meant + "?"
	}
	asked := words.Line(strings.Join(args, " "), 200)
	return fmt.Errorf("%w: there is no command and no topic %q: %s", errUsage, asked, next)
}

// knownShell refuses a shell that there is no completion for.
func knownShell(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var shells []string
	for _, shell := range cmd.Commands() {
		shells = append(shells, shell.Name())
	}
	return fmt.Errorf("%w: there is no completion for %q: there are %s", errUsage, args[0], strings.Join(shells, ", "))
}

// asksVersion reports whether the root has the flag --version. cobra's own needs text/template, by which the linker
// keeps every exported method there is.
func asksVersion(root *cobra.Command) bool {
	asked, err := root.Flags().GetBool("version")
	return err == nil && asked
}

// knownCommand refuses a command that loopkey does not have, and names one that may have been meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || asksVersion(cmd) {
		return nil
	}
	next := "see loopkey --help"
	if meant := similar(args[0], commandNames(cmd)); meant != "" {
		next = "did you mean loopkey " + meant + "?"
	} else if begun := cmd.SuggestionsFor(args[0]); len(begun) > 0 {
		next = "did you mean loopkey " + begun[0] + "?"
	}
	return fmt.Errorf("%w: there is no command %q: %s", errUsage, args[0], next)
}

// noArgs refuses all arguments, as an error of usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no argument %q: see %s --help", errUsage, cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}

// lookup returns a variable of Main's environment, or "".
func (a *app) lookup(name string) string { return environ.Lookup(a.env, name) }

// browse opens a URL in the person's browser.
func (a *app) browse(ctx context.Context, target string) error {
	if a.openBrowser != nil {
		return a.openBrowser(ctx, target)
	}
	return a.openIn(ctx, a.window(), target)
}

// window returns the window of the person's browser in which pages open.
func (a *app) window() loopback.Window {
	if a.config == nil {
		return loopback.Window{}
	}
	return loopback.Window{Profile: a.config.BrowserProfile, Private: a.config.PrivateWindow}
}

func (a *app) openIn(ctx context.Context, w loopback.Window, target string) error {
	err := w.Open(ctx, target)
	a.traceBrowser(err)
	return err
}
