package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// The topic environment names every variable of loopkey's own that the code reads.
func TestEnvironmentTopic(t *testing.T) {
	t.Parallel()
	shown := topic("environment")
	variable := regexp.MustCompile(`"(LOOPKEY_[A-Z_]+)`)
	read := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "test" || d.Name() == "testdata" || d.Name() == "bench"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range variable.FindAllStringSubmatch(string(source), -1) {
			read++
			if !strings.Contains(shown, "`"+found[1]+"`") {
				t.Errorf("%s reads %s, which loopkey help environment does not name", path, found[1])
			}
		}
		return err
	})
	if err != nil || read < 10 {
		t.Fatalf("%d variables found: %v", read, err)
	}
}

// The topic exit-codes has a line for each code.
func TestExitCodesTopic(t *testing.T) {
	t.Parallel()
	shown := topic("exit-codes")
	for _, code := range []int{
		exitDone, exitFailed, exitUsage, exitNotLoggedIn, exitRefused, exitKeychain, exitInterrupted,
	} {
		if !strings.Contains(shown, "\n- "+strconv.Itoa(code)+": ") {
			t.Errorf("no line for %d", code)
		}
	}
}

// A command line of loopkey's that a topic, the README or a document shows has a command and flags that there are.
func TestShownCommands(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, topic := range Topics() {
		texts["topic "+topic.Name] = topic.Text
	}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		files, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(text)
		}
	}
	// In backticks, or on an indented line, also after a variable.
	shown := regexp.MustCompile("(?m)(?:`|^ {4}(?:[A-Z_]+=\\S* )?|\\$\\()loopkey ((?:[a-z-]|-o|--[a-z-]+)[^`\n#|)]*)")
	root := Commands()
	lines := 0
	for name, text := range texts {
		for _, found := range shown.FindAllStringSubmatch(text, -1) {
			if problem := wrong(root, strings.Fields(found[1])); problem != "" {
				t.Errorf("%s shows loopkey %s: %s", name, found[1], problem)
			}
			lines++
		}
	}
	if lines < 150 {
		t.Errorf("only %d lines were found", lines)
	}
}

// wrong says what is wrong with a command line, "" where nothing is. What follows -- or a placeholder is not looked at.
func wrong(root *cobra.Command, words []string) string {
	cmd := root
	for i, word := range words {
		word, _, _ = strings.Cut(strings.TrimRight(word, ".,;:"), "=")
		switch {
		case word == "--":
			return ""
		case strings.HasPrefix(word, "--"):
			if cmd.Flags().Lookup(word[2:]) == nil && cmd.InheritedFlags().Lookup(word[2:]) == nil {
				return "there is no flag " + word
			}
		case strings.HasPrefix(word, "-") && len(word) == 2:
			if cmd.Flags().ShorthandLookup(word[1:]) == nil && cmd.InheritedFlags().ShorthandLookup(word[1:]) == nil {
				return "there is no flag " + word
			}
		default:
			next := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool {
				return c.Name() == word || c.HasAlias(word)
			})
			if next >= 0 {
				cmd = cmd.Commands()[next]
			} else if i == 0 {
				return "there is no such command"
			}
		}
	}
	return ""
}
