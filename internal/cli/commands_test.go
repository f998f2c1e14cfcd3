package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run runs loopkey in this process, without a standard input.
func run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), args, nil, strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

// A run that makes one command shows the same help as one that makes them all.
func TestOneCommand(t *testing.T) {
	a := &app{}
	for _, c := range a.commands() {
		cmd := c.build()
		if got := append([]string{cmd.Name()}, cmd.Aliases...); !slices.Equal(got, c.names) {
			t.Errorf("the table has the names %q, the command %q", c.names, got)
		}
		for _, name := range c.names {
			alone, stderr, code := run(t, name, "--help")
			among, _, _ := run(t, "help", name)
			if text := topic(name); text != "" { // it is shown, and names the command
				if !strings.HasPrefix(among, text) || !strings.Contains(among[len(text):], "loopkey "+name+" --help") {
					t.Errorf("help %s: %s", name, among)
				}
				continue
			}
			if code != 0 || alone == "" || alone != among {
				t.Errorf("%s --help: exit code %d, stderr %q, stdout:\n%s\nhelp %s:\n%s", name, code, stderr, alone, name, among)
			}
		}
	}
}

// The help of each command and topic fits a window of 80 columns, and the list of commands has each of them once.
func TestHelpFits(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		text, _, code := run(t, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if code != 0 {
			t.Errorf("%s --help: exit code %d", cmd.CommandPath(), code)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			toCopy := strings.HasPrefix(line, " ") && strings.Contains(cmd.Long+"\n"+cmd.Example, line)
			if n := utf8.RuneCountInString(line); n > helpWidth && !toCopy {
				t.Errorf("%s --help: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
	}
	root := Commands()
	walk(root)
	for _, page := range Topics() {
		for line := range strings.Lines(topic(page.Name)) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("help %s: %d columns: %s", page.Name, n, line)
			}
		}
	}
	list := commandList(root)
	for _, sub := range root.Commands() {
		if n := strings.Count(list, "\n  "+sub.Name()+" "); sub.IsAvailableCommand() && n != 1 {
			t.Errorf("the list of commands has %s %d times", sub.Name(), n)
		}
	}
	for _, g := range helpGroups() {
		for _, name := range g.names {
			if !slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name }) {
				t.Errorf("the group %q has %s, which is no command", g.title, name)
			}
		}
	}
}

// The command that a run makes is the one that cobra finds among all of them.
func TestChosen(t *testing.T) {
	for line, want := range map[string]string{
		"token":                         "token",
		"whoami -o json":                "status",
		"token login":                   "token",
		"-p login token":                "token",
		"-p=login token":                "token",
		"--profile login token -- exec": "token",
		"--profile=login token":         "token",
		"--profile  token":              "token", // the profile's name is empty
		"-p token":                      "",      // that is the profile
		"-plogin token":                 "",      // cobra can tell
		"-- token":                      "",
		"--help token":                  "",
		"--nonsense token":              "",
		"-o json token":                 "",
		"--version":                     "",
		"help token":                    "",
		"__complete token":              "",
		"tokn":                          "",
		" token":                        "", // the command's name is empty
		"":                              "",
	} {
		a := &app{args: strings.Split(line, " "), flags: map[string]string{}}
		all := (&app{args: []string{"help"}, flags: map[string]string{}}).root()
		only := chosen(a.commands(), a.args, all.PersistentFlags())
		got := ""
		if only != nil {
			got = only.names[0]
		}
		if got != want {
			t.Errorf("chosen(%q) = %q, want %q", line, got, want)
		}
		if found, _, err := all.Find(a.args); got != "" && (err != nil || found.Name() != got) {
			t.Errorf("chosen(%q) = %q, but cobra finds %q (%v)", line, got, found.Name(), err)
		}
		if n := len(a.root().Commands()); only != nil && n != 1 {
			t.Errorf("%q makes %d commands", line, n)
		}
	}
}

// The help names the value of each flag in words, and not by its type in Go.
func TestFlagsHaveNamedValues(t *testing.T) {
	t.Parallel()
	var visit func(cmd *cobra.Command)
	seen := 0
	visit = func(cmd *cobra.Command) {
		for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
			flags.VisitAll(func(f *pflag.Flag) {
				seen++
				nameValue(f)
				if name := f.Value.Type(); name != strings.ToUpper(name) || strings.Contains(f.DefValue, "[]") {
					t.Errorf("%s --%s %s, by default %q", cmd.CommandPath(), f.Name, name, f.DefValue)
				}
			})
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(Commands())
	if seen < 100 {
		t.Errorf("%d flags were seen", seen)
	}
}
