package main

import (
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that docs/security.md names is there.
func TestNamedTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	inBackticks := regexp.MustCompile("`[^`]+`")
	function := regexp.MustCompile(`^(?:(\S+) )?((?:Test|Fuzz)[A-Za-z0-9]+)(?:/(.+))?$`)
	named := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "|") || len(cells) < 2 {
			continue
		}
		folder := ""
		for _, name := range inBackticks.FindAllString(cells[len(cells)-1], -1) {
			name = strings.Trim(name, "`")
			subtest := name // of the test before
			if parts := function.FindStringSubmatch(name); parts != nil {
				if folder = parts[1]; folder == "" {
					folder = "internal/test/hostile"
				}
				if _, read := sources[folder]; !read {
					sources[folder] = testSources(t, folder)
				}
				if !strings.Contains(sources[folder], "func "+parts[2]+"(") {
					t.Errorf("%s has no %s", folder, parts[2])
				}
				subtest = parts[3]
			}
			named++
			if subtest == "" || subtest == "*" {
				continue
			}
			if last := subtest[strings.LastIndex(subtest, "/")+1:]; !strings.Contains(sources[folder], last) { // as `go test` writes it
				t.Errorf("%s has no case %q: %s", folder, subtest, line)
			}
		}
	}
	if named < 400 {
		t.Errorf("only %d names were found", named)
	}
}

func testSources(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(source)
	}
	return strings.ReplaceAll(all.String(), " ", "_") + all.String() // names have _ for each space
}

// The code that a package's documentation shows is that of its Example, which is compiled and run.
func TestPackageDocs(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"keystore", "keystore/keystoretest", "session"} {
		pkg, err := build.ImportDir(folder, 0)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		shown := ""
		for _, name := range pkg.GoFiles {
			file, err := parser.ParseFile(files, filepath.Join(folder, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			shown += file.Doc.Text()
		}
		example, err := os.ReadFile(filepath.Join(folder, "example_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		rest, lines := string(example), 0
		for line := range strings.Lines(shown) {
			code, isCode := strings.CutPrefix(line, "\t")
			if code, _, _ = strings.Cut(strings.TrimSpace(code), " // "); !isCode || code == "" {
				continue
			}
			lines++
			if _, after, ok := strings.Cut(rest, code); ok { // in the same order
				rest = after
			} else {
				t.Errorf("%s: %q is not in its Example, or not there", folder, code)
			}
		}
		if lines == 0 {
			t.Errorf("%s shows no code", folder)
		}
	}
}
