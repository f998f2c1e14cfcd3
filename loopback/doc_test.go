package loopback_test

import (
	"os"
	"strings"
	"testing"
)

// The code in the package's documentation is in the Example, in the same order, so that it compiles and runs.
func TestDocIsExample(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("login.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(source), "\npackage ")
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	rest, lines := string(example), 0
	for line := range strings.Lines(doc) {
		code, ok := strings.CutPrefix(line, "//\t")
		if !ok {
			continue
		}
		lines++
		_, after, found := strings.Cut(rest, "\t"+strings.TrimSpace(code)+"\n")
		if !found {
			t.Errorf("the Example lacks %q", code)
			continue
		}
		rest = after
	}
	if lines < 5 {
		t.Errorf("the documentation shows %d lines of code", lines)
	}
}
