package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

func (a *app) configuration() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and change the configuration",
		Long: `Shows the values that commands use here, each with the source it comes from, and
changes config.toml, where comments and all else stay as they are. Secrets are
never shown.`,
		Example: `  loopkey config list
  loopkey config get audience
  loopkey config set audience https://api.example.com/ -p work`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: config needs list, get, set or path: see %s --help", errUsage, cmd.CommandPath())
			}
			if meant := similar(args[0], commandNames(cmd)); meant != "" {
				return fmt.Errorf("%w: there is no config %s: did you mean %s?", errUsage, args[0], a.configLine(meant))
			}
			return fmt.Errorf("%w: there is no config %s: there are list, get, set and path", errUsage, args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(a.configList(), a.configGet(), a.configSet(), &cobra.Command{
		Use: "path", Short: "Print where config.toml is", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			path := config.Path(a.input())
			if path == "" {
				return noConfigFile()
			}
			return a.print("raw", path, nil)
		},
	})
	return cmd
}

func (a *app) configList() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "list", Short: "List all values and where each comes from", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			return a.runConfigList(output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// entries returns the configuration as commands use it: with what the last login says where no source says it.
func (a *app) entries() ([]config.Entry, error) {
	cfg, err := a.configure()
	if err != nil {
		return nil, err
	}
	of, err := a.sessionOf(cfg)
	if err != nil && !errors.Is(err, session.ErrNotLoggedIn) && !errors.Is(err, errUsage) {
		return cfg.Entries(), nil //nolint:nilerr // an entry says which value can't be used
	}
	if err == nil {
		cfg = of
	}
	return cfg.Entries(), nil
}

// A configValue is what `config list -o json` prints of a value. Fields may be added, and none renamed.
type configValue struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"` // a secret's is left out
	Origin string `json:"origin,omitempty"`
	Secret bool   `json:"secret,omitempty"`
	Error  string `json:"error,omitempty"` // why the value that a source sets can't be used
}

func valueOf(e config.Entry) configValue {
	v := configValue{Key: e.Key, Value: e.Value, Origin: words.Printable(e.Origin), Secret: e.Secret}
	if e.Fault != nil {
		v.Error = words.Printable(e.Fault.Error())
	}
	return v
}

func (a *app) runConfigList(output string) error {
	entries, err := a.entries()
	if err != nil {
		return err
	}
	if output == "json" {
		values := []configValue{}
		for _, e := range entries {
			if v := valueOf(e); v.Origin != "" || v.Error != "" {
				values = append(values, v)
			}
		}
		return a.print("json", "", values)
	}
	var rows, narrow []string
	for _, e := range entries {
		v := valueOf(e)
		switch {
		case v.Error != "":
			a.say("%s can't be used: %s", v.Key, v.Error)
			v.Value, v.Origin = "-", "can't be used"
		case v.Secret:
			v.Value = "(not shown)"
		case v.Origin == "":
			continue
		}
		rows = append(rows, v.Key+"\t"+v.Value+"\t"+v.Origin)
		narrow = append(narrow, v.Key+"  "+v.Value+"\n    "+v.Origin)
	}
	return a.printTable("", rows, func(i int) string { return narrow[i] })
}

func (a *app) configGet() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "get KEY", Short: "Print one value", Long: "Prints the value that commands use. Exits 1 where there is none.",
		Args:              a.keyArgs(1),
		ValidArgsFunction: a.offerEntries,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output, "raw", "json"); err != nil {
				return err
			}
			return a.runConfigGet(args[0], output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "raw", "raw, or json with its origin")
	return cmd
}

func (a *app) runConfigGet(key, output string) error {
	entries, err := a.entries()
	if err != nil {
		return err
	}
	wanted := strings.ReplaceAll(key, "-", "_")
	if wanted == "client_secret_file" { // one secret, in one way or the other
		wanted = "client_secret"
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Key)
		if e.Key != wanted {
			continue
		}
		switch {
		case e.Fault != nil:
			return e.Fault
		case e.Secret && output == "raw":
			return fmt.Errorf("%w: %s is a secret, which is never shown: it is from %s",
				errUsage, e.Key, words.Printable(e.Origin))
		case e.Origin == "":
			return &exitError{exitFailed}
		}
		return a.print(output, e.Value, valueOf(e))
	}
	return a.noKey("get", key, names)
}

// noKey is the error about a key that there is not.
func (a *app) noKey(command, key string, names []string) error {
	if meant := similar(strings.ReplaceAll(key, "-", "_"), names); meant != "" {
		if command == "set" {
			meant += " VALUE"
		}
		return fmt.Errorf("%w: there is no key %q: did you mean %s?", errUsage, key, a.configLine(command+" "+meant))
	}
	return fmt.Errorf("%w: there is no key %q: there are %s", errUsage, key, strings.Join(names, ", "))
}

func (a *app) configSet() *cobra.Command {
	return &cobra.Command{
		Use: "set KEY VALUE", Short: "Set a value in config.toml",
		Long: `Sets the value in the profile that commands use, or that -p names. An empty value
takes the key out. The file as it was stays beside it as config.toml.loopkey-backup.`,
		Args: a.keyArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.settable(args), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.runConfigSet(args[0], args[1]) },
	}
}

// configLine returns the line of a config command for the profile that this one was given: a change of another profile
// would be made in silence.
func (a *app) configLine(command string) string {
	return situation{flags: map[string]string{"profile": a.flags["profile"]}}.line("config " + command)
}

// keyArgs takes a key and what belongs to it.
func (a *app) keyArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%w: write %s", errUsage, a.configLine(cmd.Use))
		}
		return nil
	}
}

func (a *app) runConfigSet(key, value string) error {
	key = strings.ReplaceAll(key, "-", "_")
	choices := config.Choices()
	known := func(c config.Choice) bool { return c.Key == key }
	switch {
	case slices.ContainsFunc(choices, known):
	case key == "client_secret":
		return fmt.Errorf("%w: %s is a secret, and every user can read the arguments of a command: write it into a file of "+
			"your own (chmod 600), and run %s", errUsage, key, a.configLine("set client_secret_file FILE"))
	case config.InProfile(key):
		return fmt.Errorf("%w: %s is a table: write it into config.toml by hand", errUsage, key)
	default:
		var names []string
		for _, c := range choices {
			names = append(names, c.Key)
		}
		return a.noKey("set", key, names)
	}
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	changed, err := a.editConfig(cfg.File, func(content []byte) ([]byte, error) {
		return config.Set(a.input(), content, cfg.Profile, config.Assignment{Key: key, Value: value})
	})
	if err != nil {
		return err
	}
	where := words.Printable(cfg.File)
	if config.InProfile(key) {
		where = "profile " + cfg.Profile + " of " + where
	}
	switch {
	case !changed:
		a.say("Nothing to change: %s says so already.", where)
	case value == "":
		a.say("Took %s out of %s.", key, where)
	default:
		a.say("Set %s in %s.", key, where)
	}
	return a.sayOverridden(key, value)
}

// sayOverridden says what beats a value that was just set.
func (a *app) sayOverridden(key, value string) error {
	entries, err := a.entries()
	if err != nil || value == "" {
		return err
	}
	for _, e := range entries {
		inFile := strings.HasPrefix(e.Origin, "profile ") || strings.HasPrefix(e.Origin, "default_profile ")
		if e.Key == key && !inFile && e.Origin != config.LastLogin && e.Origin != "default" && e.Origin != "" {
			a.say("But %s comes first here: it says %s.", words.Printable(e.Origin), e.Value)
		}
	}
	return nil
}

// offerEntries completes the keys that have a value.
func (a *app) offerEntries(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	entries, err := a.entries()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys, cobra.ShellCompDirectiveNoFileComp
}

// settable completes a key that can be set, or the value of one.
func (a *app) settable(args []string) []string {
	var values []string
	for _, c := range config.Choices() {
		switch {
		case len(args) == 0:
			values = append(values, c.Key)
		case len(args) == 1 && c.Key == args[0]:
			values = c.Values
		}
	}
	if len(args) == 1 && args[0] == "default_profile" {
		return a.allProfiles()
	}
	return values
}
