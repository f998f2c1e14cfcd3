package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
)

// offer makes the shell's completion offer the values that there are, and files only where a file is meant.
func (a *app) offer(root *cobra.Command) {
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	of := func(read func(known.Client) string) func() []string {
		return func() []string { return a.knownValues(read) }
	}
	for _, flag := range []struct {
		name   string
		values func() []string
	}{
		{"keystore", keystores.Choices},
		{"profile", a.profiles},
		{"issuer", of(func(k known.Client) string { return k.Issuer })},
		{"client-id", of(func(k known.Client) string { return k.ClientID })},
		{"audience", func() []string { return config.Values(a.input(), "audience") }},
		{"base-url", func() []string { return config.Values(a.input(), "base-url") }},
	} {
		offerValues(root, flag.name, flag.values)
	}
	offerFiles(root, "client-secret-file", cobra.ShellCompDirectiveDefault)
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "login":
			offerValues(cmd, "prompt", fixed("login", "consent", "select_account", "none"))
			offerValues(cmd, "screen-hint", fixed("signup", "login"))
		case "status", "sessions", "log":
			offerValues(cmd, "output", fixed("text", "json"))
		case "token":
			offerValues(cmd, "output", fixed("raw", "json", "header"))
		case "env":
			offerValues(cmd, "shell", words.Shells)
		case "serve":
			offerFiles(cmd, "pages", cobra.ShellCompDirectiveFilterDirs)
		case "exec":
			cmd.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveDefault)
		}
	}
}

func fixed(values ...string) func() []string { return func() []string { return values } }

// offerValues makes a flag's completion offer values, which are made when they are asked for.
func offerValues(cmd *cobra.Command, flag string, values func() []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	})
}

func offerFiles(cmd *cobra.Command, flag string, which cobra.ShellCompDirective) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, which
	})
}

// profiles returns the profiles of config.toml, and those that are logged in.
func (a *app) profiles() []string {
	names, _ := config.Profiles(a.input()) // what can't be read offers nothing
	return sorted(append(names, a.knownValues(func(k known.Client) string { return k.Profile })...))
}

// knownValues returns a value of each client that is logged in.
func (a *app) knownValues(read func(known.Client) string) []string {
	cfg, err := a.configure()
	if err != nil {
		return nil
	}
	all, err := known.All(cfg.StateDir)
	if err != nil {
		return nil
	}
	var values []string
	for _, k := range all {
		values = append(values, read(k))
	}
	return sorted(values)
}

// sorted returns values in order, each once.
func sorted(values []string) []string {
	slices.Sort(values)
	return slices.Compact(values)
}
