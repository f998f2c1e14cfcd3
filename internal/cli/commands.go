package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A command is one of loopkey's own. Most runs make only the command that they run: making all of them takes longer
// than a `loopkey token` has to do.
type command struct {
	names []string // its name, then its aliases
	build func() *cobra.Command

	// catchesLate is set for a command that calls catchSignals itself, before it begins what a signal must not cut off.
	// Until then a signal kills it.
	catchesLate bool
}

// commands returns the table of commands.
func (a *app) commands() []command {
	return []command{
		{[]string{"login"}, a.login, false},
		{[]string{"logout"}, a.logout, false},
		{[]string{"status", "whoami"}, a.status, false},
		{[]string{"sessions"}, a.sessions, false},
		{[]string{"switch"}, a.switchProfile, false},
		{[]string{"log"}, a.log, false},
		{[]string{"config"}, a.configuration, false},
		{[]string{"keys"}, a.keys, false},
		{[]string{"token"}, a.token, true},
		{[]string{"exec"}, a.exec, false},
		{[]string{"env"}, a.environment, true},
		{[]string{"serve"}, a.serve, false},
		{[]string{"open"}, a.openPages, false},
		{[]string{"credential"}, a.credential, true},
		{[]string{"setup"}, a.setup, false},
		{[]string{"mcp"}, a.mcp, false},
		{[]string{"agent"}, a.agent, false},
		{[]string{"proxy"}, a.proxy, false},
		{[]string{"demo"}, a.demo, false},
		{[]string{"lock"}, a.lock, false},
		{[]string{"unlock"}, a.unlock, false},
		{[]string{"doctor"}, a.doctor, false},
		{[]string{"version"}, a.version, true},
		{[]string{"renew"}, a.renew, false},
		{[]string{"clear-clipboard"}, a.clearClipboard, false},
	}
}

// chosen returns the command that args name; nil where they name none, or where only cobra can tell: then all commands
// are made. flags are those that may stand before the name.
func chosen(commands []command, args []string, flags *pflag.FlagSet) *command {
	name := firstWord(args, flags)
	i := slices.IndexFunc(commands, func(c command) bool { return slices.Contains(c.names, name) })
	if name == "" || i < 0 {
		return nil
	}
	return &commands[i]
}

// firstWord returns the first of args that is neither a flag nor the value of one; "" where it can't tell.
func firstWord(args []string, flags *pflag.FlagSet) string {
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		name, long := strings.CutPrefix(args[0], "--")
		name, _, hasValue := strings.Cut(name, "=")
		flag := flags.Lookup(name)
		switch {
		case !long && len(name) == 2:
			flag = flags.ShorthandLookup(name[1:])
		case !long || name == "":
			return ""
		}
		if flag == nil || !hasValue && flag.NoOptDefVal != "" {
			return ""
		}
		args = args[1:]
		if !hasValue && len(args) > 0 {
			args = args[1:]
		}
	}
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// begin is what each command does before its own work.
func (a *app) begin(cmd *cobra.Command, catchesLate bool) {
	a.command = cmd
	if !catchesLate {
		a.catchSignals()
	}
}
