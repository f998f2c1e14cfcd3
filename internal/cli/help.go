package cli

import (
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// shortHelp makes the help of all commands say what a person needs: a flag that is there or not has no value, and a
// command that uses no configuration shows none of its flags.
func shortHelp(root *cobra.Command) {
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
			flags.VisitAll(func(f *pflag.Flag) {
				if f.Value.Type() == "bool" { // the help is the last thing that this run does
					f.Value, f.NoOptDefVal = onOrOff{f.Value}, ""
				}
			})
		}
		if !configured(cmd) {
			cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { f.Hidden = true })
		}
		if next := beforehand(cmd); next != "" {
			cmd.Long += "\n\n" + next
		}
		show(cmd, args)
	})
}

// beforehand returns what the table of advice says of a command's first failures, so that a person can do it before.
func beforehand(cmd *cobra.Command) string {
	if cmd.CommandPath() != "loopkey login" {
		return ""
	}
	at := situation{config: &config.Config{}}
	at.config.BaseURL = localurl.Default
	return "Before the first login, " + at.sentence(provider.ReasonCallbackNotAllowed) + ":\n  " + at.callback() +
		"\nWhere there is no keychain, " + at.sentence(keystore.ReasonNoKeychain) + "."
}

// An onOrOff is a flag that is given without a value. pflag would show [=true|false] after its name.
type onOrOff struct{ pflag.Value }

// Type returns nothing, so that the help shows nothing for the value.
func (onOrOff) Type() string { return "" }

// configured reports whether a command uses the configuration.
func configured(cmd *cobra.Command) bool {
	for ; cmd.HasParent(); cmd = cmd.Parent() {
		switch cmd.Name() {
		case "demo", "version", "completion", "help":
			return false
		}
	}
	return true
}
