package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
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

// A command that a topic names exists, with the flags that stand there.
func TestTopicsNameCommands(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile("(?m)(?:`|^ {4}|=work )loopkey ([a-z]+)((?: --?[a-z-]+)*)")
	root := Commands()
	for _, topic := range Topics() {
		for _, found := range line.FindAllStringSubmatch(topic.Text, -1) {
			cmd, rest, err := root.Find([]string{found[1]})
			if err != nil || len(rest) > 0 {
				t.Errorf("%s names loopkey %s, which there is not", topic.Name, found[1])
				continue
			}
			for flag := range strings.FieldsSeq(found[2]) {
				name := strings.TrimLeft(flag, "-")
				if cmd.Flag(name) == nil && root.PersistentFlags().ShorthandLookup(name) == nil {
					t.Errorf("%s: loopkey %s has no flag %s", topic.Name, found[1], flag)
				}
			}
		}
	}
}
