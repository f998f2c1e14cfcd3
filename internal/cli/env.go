package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/words"
)

const profileVariable = "LOOPKEY_PROFILE"

type envFlags struct {
	tokenFlags
	name, shell  string
	unset, shown bool
}

func (a *app) environment() *cobra.Command {
	var f envFlags
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print lines that set a shell's environment",
		Long: `Prints the line that sets ACCESS_TOKEN (or --env NAME) to a fresh access token, for
the shell to read. With -p also the one that sets LOOPKEY_PROFILE, so that the shell
goes on with that profile. The token is not renewed there: loopkey exec gives a
command a file that is. To a terminal nothing is printed without --force.`,
		Example: `  eval "$(loopkey env)"
  loopkey env | source                                     # fish
  loopkey env --shell powershell | Out-String | Invoke-Expression
  eval "$(loopkey env --unset)"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runEnv(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "env", "ACCESS_TOKEN", "the variable that holds the token")
	flags.StringVar(&f.shell, "shell", "", "sh, fish, powershell or cmd (default: fish if $SHELL is, else sh)")
	flags.DurationVar(&f.minLifetime, "min-ttl", time.Minute, "renew a token that has less left")
	f.need.add(flags)
	flags.BoolVar(&f.unset, "unset", false, "print the lines that take the variables out again")
	flags.BoolVar(&f.shown, "force", false, "print the token even to a terminal")
	return cmd
}

// shellOf returns the shell that the lines are for.
func (a *app) shellOf(f envFlags) (string, error) {
	switch {
	case slices.Contains(words.Shells(), f.shell):
		return f.shell, nil
	case f.shell == "bash" || f.shell == "zsh" || f.shell == "dash" || f.shell == "ksh":
		return "sh", nil
	case f.shell != "":
		return "", fmt.Errorf("%w: --shell is %q: it is %s", errUsage, f.shell, strings.Join(words.Shells(), ", "))
	case filepath.Base(a.lookup("SHELL")) == "fish":
		return "fish", nil
	case runtime.GOOS == "windows" && a.lookup("SHELL") == "":
		return "powershell", nil
	}
	return "sh", nil
}

func (a *app) runEnv(ctx context.Context, f envFlags) error {
	shell, err := a.shellOf(f)
	if err != nil {
		return err
	}
	if !words.IsVariable(f.name) {
		return fmt.Errorf("%w: --env is %q: it is the name of a variable", errUsage, f.name)
	}
	if err := f.check(); err != nil {
		return err
	}
	profile := a.flags["profile"]
	if f.unset {
		lines := []string{words.Unassign(shell, f.name)}
		if profile != "" {
			lines = append(lines, words.Unassign(shell, profileVariable))
		}
		return a.print("raw", strings.Join(lines, "\n"), nil)
	}
	if terminal.Is(a.stdout) && !f.shown {
		return fmt.Errorf("%w: the token would stand on the screen: run eval \"$(%s)\", or give --force",
			errUsage, a.situation(nil).line("env"))
	}
	source, cfg, err := a.source()
	if err == nil {
		err = cfg.Needs("audience")
	}
	if err != nil {
		return err
	}
	token, _, err := a.accessToken(ctx, source, a.request(cfg, f.tokenFlags))
	if err != nil {
		return err
	}
	a.recorder(cfg, "env", "").note(accessToken, token.Audience, token.Token)
	lines, err := words.Assign(shell, f.name, token.Token.Reveal())
	if err != nil {
		return fmt.Errorf("the access token: %w", err)
	}
	if profile != "" {
		line, err := words.Assign(shell, profileVariable, profile)
		if err != nil {
			return err
		}
		lines = line + "\n" + lines
	}
	return a.print("raw", lines, nil)
}
