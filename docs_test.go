package main

import (
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every test that docs/security.md names exists.
func TestNamedTests(t *testing.T) {
	t.Parallel()
	text := readText(t, "docs", "security.md")
	sources := map[string]string{}
	inBackticks := regexp.MustCompile("`[^`]+`")
	function := regexp.MustCompile(`^(?:(\S+) )?((?:Test|Fuzz)[A-Za-z0-9]+)(?:/(.+))?$`)
	named := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "|") || len(cells) < 2 {
			continue
		}
		folder := ""
		for _, name := range inBackticks.FindAllString(cells[len(cells)-1], -1) {
			name = strings.Trim(name, "`")
			subtest := name // a case of the test that was named before
			if parts := function.FindStringSubmatch(name); parts != nil {
				folders := []string{parts[1]}
				if parts[1] == "" {
					folders = []string{"internal/test/hostile", "internal/test/faults"}
				}
				has := func(folder string) bool {
					if _, read := sources[folder]; !read {
						sources[folder] = testSources(t, folder)
					}
					return strings.Contains(sources[folder], "func "+parts[2]+"(")
				}
				if i := slices.IndexFunc(folders, has); i >= 0 {
					folder = folders[i]
				} else {
					t.Errorf("%v: no %s", folders, parts[2])
				}
				subtest = parts[3]
			}
			named++
			if subtest == "" || subtest == "*" {
				continue
			}
			last := subtest[strings.LastIndex(subtest, "/")+1:]
			if !strings.Contains(sources[folder], last) {
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
		all.WriteString(readText(t, file))
	}
	return strings.ReplaceAll(all.String(), " ", "_") + all.String() // go test writes the names of cases with underscores
}

func readText(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The Go code in docs/library.md is that of a program which TestProgram builds and runs.
func TestReadmeCode(t *testing.T) {
	t.Parallel()
	program := readText(t, "testdata", "program", "main.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readText(t, "docs", "library.md"), -1)
	if len(blocks) == 0 {
		t.Error("docs/library.md has no Go code")
	}
	for _, block := range blocks {
		if !strings.Contains(program, block[1]) {
			t.Errorf("testdata/program/main.go lacks this code of docs/library.md:\n%s", block[1])
		}
	}
}

// Every link in the documents leads to a file that exists.
func TestLinks(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join("docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob(filepath.Join("docs", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	for _, document := range slices.Concat(documents, more, below) {
		for _, found := range link.FindAllStringSubmatch(readText(t, document), -1) {
			target := found[1]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(document), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: %v", document, target, err)
			}
		}
	}
}

// Every row of docs/providers.md has its case in TestKnownProviders, and every case its row, with the flags of both. So
// has the page of a provider, where there is one.
func TestProviders(t *testing.T) {
	t.Parallel()
	source := readText(t, "internal", "test", "hostile", "likeness_test.go")
	cases := map[string]string{} // their source
	for _, part := range strings.Split(source, "\t\t\tname: \"")[1:] {
		name, rest, _ := strings.Cut(part, `"`)
		cases[name] = rest
	}
	row := regexp.MustCompile(`^\| \*\*(.+)\*\* \|`)
	settings := regexp.MustCompile(`(?s)settings: \[\]string\{(.*?)\}`)
	literal := regexp.MustCompile("`[^`]+`|\"[^\"]+\"")
	page := func(row string) string { // "": none
		for begin, name := range map[string]string{
			"Auth0": "auth0", "Entra": "entra", "Azure": "entra", "Google": "google", "Okta": "okta", "Keycloak": "keycloak",
			"Amazon": "cognito",
		} {
			if strings.HasPrefix(row, begin) {
				return readText(t, "docs", "providers", name+".md")
			}
		}
		return ""
	}
	rows := 0
	for line := range strings.Lines(readText(t, "docs", "providers.md")) {
		found := row.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		rows++
		flags := settings.FindStringSubmatch(cases[found[1]])
		if flags == nil {
			t.Errorf("TestKnownProviders has no case %q", found[1])
			continue
		}
		for _, flag := range literal.FindAllString(flags[1], -1) {
			flag = flag[1 : len(flag)-1]
			if !strings.Contains(line, "`"+flag+"`") {
				t.Errorf("the row of %s lacks %s", found[1], flag)
			}
			if page := page(found[1]); page != "" && !strings.Contains(page, flag) {
				t.Errorf("the page of %s lacks %s", found[1], flag)
			}
		}
	}
	if rows != len(cases) || rows < 14 {
		t.Errorf("%d rows, but %d cases", rows, len(cases))
	}
}

// Every file that docs/architecture.md names exists, and every package is in its table.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	text := readText(t, "docs", "architecture.md")
	rows := map[string]bool{}
	for _, found := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
		name := found[1]
		isFile := regexp.MustCompile(`^([A-Za-z][\w./-]*(/|\.go|\.md|\.mod)|[A-Z_]{6,})$`).MatchString(name)
		if !isFile {
			continue
		}
		if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
			t.Errorf("it names %s: %v", name, err)
		}
		rows[strings.TrimSuffix(name, "/")] = strings.Contains(text, "\n| `"+name+"` |")
	}
	if len(rows) < 60 {
		t.Errorf("only %d names were found", len(rows))
	}
	for room := range arrows() {
		if room == "." {
			room = "main.go"
		}
		if !rows[room] {
			t.Errorf("the table of packages lacks %s", room)
		}
	}
}

// The code that a public package's documentation shows is that of its Example, in the same order, so that it compiles
// and runs.
func TestPackageDocs(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"keystore", "keystore/keystoretest", "loopback", "provider", "session", "webui"} {
		rest, lines := readText(t, folder, "example_test.go"), 0
		for line := range strings.Lines(packageDoc(t, folder)) {
			code, isCode := strings.CutPrefix(line, "\t")
			if code = strings.TrimSpace(code); !isCode || code == "" {
				continue
			}
			lines++
			_, after, found := strings.Cut(rest, "\t"+code+"\n")
			if !found {
				t.Errorf("%s: %q is not in its Example, or not in this place", folder, code)
				continue
			}
			rest = after
		}
		if lines < 3 {
			t.Errorf("the documentation of %s shows %d lines of code", folder, lines)
		}
	}
}

func packageDoc(t *testing.T, folder string) string {
	t.Helper()
	pkg, err := build.ImportDir(folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	doc := ""
	for _, name := range pkg.GoFiles {
		mode := parser.PackageClauseOnly | parser.ParseComments
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, name), nil, mode)
		if err != nil {
			t.Fatal(err)
		}
		doc += file.Doc.Text()
	}
	return doc
}
