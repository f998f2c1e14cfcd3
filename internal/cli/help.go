package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

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
	root.SetUsageFunc(usage)
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
			flags.VisitAll(func(f *pflag.Flag) {
				nameValue(f) // the help is the last thing that this run does
			})
		}
		if !configured(cmd) {
			cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { f.Hidden = true })
		}
		if next := beforehand(cmd); next != "" {
			cmd.Long += "\n\n" + next
		}
		cmd.Long = fill(cmd.Long, helpWidth)
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

// nameValue has the help say what a flag's value is, where pflag would say its type in Go.
func nameValue(f *pflag.Flag) {
	switch f.Value.Type() {
	case "bool":
		f.Value, f.NoOptDefVal = onOrOff{f.Value}, ""
	case "duration":
		f.Value = named{f.Value, "TIME"}
	case "string", "stringArray", "int":
		last := f.Name[strings.LastIndexByte(f.Name, '-')+1:]
		f.Value = named{f.Value, strings.ToUpper(last)}
	}
	if f.DefValue == "0s" || f.DefValue == "[]" { // as good as none
		f.DefValue = ""
	}
}

// A named is a flag whose value has a name in the help.
type named struct {
	pflag.Value
	name string
}

// Type returns what stands for the value in the help.
func (n named) Type() string { return n.name }

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

// helpWidth is how many columns the help takes: those of a usual window.
const helpWidth = 80

// fill breaks the lines of each paragraph anew, so that they fit a width. A line that begins with a space or a tab
// stays as it is: it is to be copied.
func fill(text string, width int) string {
	var lines []string
	open := false // the last line is of a paragraph that goes on
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			lines, open = append(lines, line), false
			continue
		}
		for _, word := range strings.Fields(line) {
			if last := len(lines) - 1; open && utf8.RuneCountInString(lines[last]+" "+word) <= width {
				lines[last] += " " + word
				continue
			}
			lines, open = append(lines, word), true
		}
	}
	return strings.Join(lines, "\n")
}

// A helpGroup is a part of the list of commands.
type helpGroup struct {
	title string
	names []string // of commands, in the order of the list
}

// helpGroups returns the parts of the list of commands. A command that none of them names comes last, under another
// heading.
func helpGroups() []helpGroup {
	return []helpGroup{
		{"First steps", []string{"setup", "login", "demo", "doctor"}},
		{"Tokens", []string{"token", "exec", "env", "credential", "proxy", "agent", "mcp"}},
		{"Sessions and profiles", []string{
			"status", "sessions", "switch", "config", "keys", "lock", "unlock", "log", "logout",
		}},
		{"In the browser", []string{"open", "serve"}},
	}
}

// usage prints what cobra prints, in helpWidth columns, and the commands of loopkey in groups.
func usage(cmd *cobra.Command) error {
	text := "Usage:\n"
	if cmd.Runnable() {
		text += "  " + cmd.UseLine() + "\n"
	}
	if cmd.HasAvailableSubCommands() {
		text += "  " + cmd.CommandPath() + " COMMAND\n"
	}
	if len(cmd.Aliases) > 0 {
		text += "\nAliases:\n  " + cmd.NameAndAliases() + "\n"
	}
	if cmd.HasExample() {
		text += "\nExamples:\n" + cmd.Example + "\n"
	}
	text += commandList(cmd)
	if cmd.HasAvailableLocalFlags() {
		text += "\nFlags:\n" + cmd.LocalFlags().FlagUsagesWrapped(helpWidth)
	}
	if cmd.HasAvailableInheritedFlags() {
		text += "\nGlobal Flags:\n" + cmd.InheritedFlags().FlagUsagesWrapped(helpWidth)
	}
	if cmd.HasAvailableSubCommands() {
		text += "\nMore about a command: " + cmd.CommandPath() + " COMMAND --help\n"
	}
	if !cmd.HasParent() {
		text += "More about a topic: loopkey help TOPIC, which is one of\n  " + strings.Join(topicNames(), ", ") + "\n"
	}
	if _, err := io.WriteString(cmd.OutOrStderr(), text); err != nil {
		return fmt.Errorf("writing the help: %w", err)
	}
	return nil
}

// commandList returns a line for each command that cmd has.
func commandList(cmd *cobra.Command) string {
	groups := []helpGroup{{title: "Commands"}}
	if !cmd.HasParent() {
		groups = append(helpGroups(), helpGroup{title: "More"})
	}
	rest, width := &groups[len(groups)-1], 0
	lines := map[string]string{}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() && sub.Name() != "help" {
			continue
		}
		lines[sub.Name()] = sub.Short
		width = max(width, len(sub.Name()))
		if !slices.ContainsFunc(groups, func(g helpGroup) bool { return slices.Contains(g.names, sub.Name()) }) {
			rest.names = append(rest.names, sub.Name())
		}
	}
	text := ""
	for _, g := range groups {
		list := ""
		for _, name := range g.names {
			if short, ok := lines[name]; ok {
				list += fmt.Sprintf("  %-*s  %s\n", width, name, short)
			}
		}
		if list != "" {
			text += "\n" + g.title + ":\n" + list
		}
	}
	return text
}
