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

// Each row of the table of ways to log in has been tried: some test runs its command with all its flags, and sets every
// setting that the row names.
func TestWaysAreTried(t *testing.T) {
	t.Parallel()
	tried := triedLines(t)
	text, err := os.ReadFile("../../docs/login.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("`([^`]+)`")
	setting := regexp.MustCompile(`([a-z_]+) = `)
	rows := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		for _, found := range code.FindAllStringSubmatch(line, -1) {
			words := commandWords(strings.ReplaceAll(found[1], `\|`, "|"))
			for _, key := range setting.FindAllStringSubmatch(found[1], -1) {
				if !strings.Contains(tried.text, key[1]) {
					t.Errorf("no test sets %s: %s", key[1], line)
				}
			}
			if len(words) > 0 && !slices.ContainsFunc(tried.lines, func(l []string) bool { return includes(l, words) }) {
				t.Errorf("no test runs %q: %s", words, line)
			}
		}
	}
	if rows < 30 {
		t.Errorf("only %d rows were found", rows)
	}
}

// commandWords returns the command and the flags, without their values, of a line that is loopkey's or begins with a
// flag; nil for any other text.
func commandWords(line string) (words []string) {
	line, _, _ = strings.Cut(line, " | ") // what is done with the output
	fields := strings.Fields(line)
	switch {
	case len(fields) == 0:
		return nil
	case fields[0] == "loopkey":
		fields = fields[1:]
		for len(fields) > 0 && !strings.HasPrefix(fields[0], "-") && len(words) < 2 {
			words, fields = append(words, fields[0]), fields[1:]
			if root := Commands(); len(words) == 1 && !slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool {
				return c.Name() == words[0] && c.HasSubCommands()
			}) {
				break
			}
		}
	case !strings.HasPrefix(fields[0], "-"):
		return nil
	}
	for _, field := range fields {
		if name, _, _ := strings.Cut(field, "="); strings.HasPrefix(name, "-") {
			words = append(words, strings.TrimRight(name, ","))
		}
	}
	return words
}

// includes reports whether a command line has all of some words.
func includes(line, words []string) bool {
	return !slices.ContainsFunc(words, func(word string) bool { return !slices.Contains(line, word) })
}

// trials are what the tests run, and all that they say.
type trials struct {
	lines [][]string
	text  string
}

// triedLines reads the stories and the tests: every line of loopkey's there, and every list of arguments in Go.
func triedLines(t *testing.T) (all trials) {
	t.Helper()
	story := regexp.MustCompile(`(?m)\bloopkey ([a-z-][^\n]*)$`)
	list := regexp.MustCompile(`"([a-z-]+)"((?:\s*,\s*(?:"[^"\n]*"|[A-Za-z_.]+(?:\([^()\n]*\))?)(?:\s*\+[^,)}\n]*)?)*)`)
	literal := regexp.MustCompile(`"(-[^"=\n]*)[="]|"([a-z-]+)"`)
	var text strings.Builder
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		isStory := filepath.Ext(path) == ".txtar"
		if err != nil || d.IsDir() || !isStory && !strings.HasSuffix(path, "_test.go") || d.Name() == "topics_test.go" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, _ = text.Write(source)
		if isStory {
			for _, found := range story.FindAllStringSubmatch(string(source), -1) {
				all.lines = append(all.lines, withoutValues(strings.Fields(found[1])))
			}
			return nil
		}
		for _, found := range list.FindAllString(string(source), -1) {
			var words []string
			for _, one := range literal.FindAllStringSubmatch(found, -1) {
				words = append(words, one[1]+one[2])
			}
			all.lines = append(all.lines, words)
		}
		return nil
	})
	if err != nil || len(all.lines) < 500 {
		t.Fatalf("%d lines, %v", len(all.lines), err)
	}
	all.text = text.String()
	return all
}

// withoutValues returns words in which no flag has its value.
func withoutValues(words []string) []string {
	for i, word := range words {
		words[i], _, _ = strings.Cut(word, "=")
	}
	return words
}
