package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// verb is a part of a format that something else is put in place of: one column here, since nobody knows how many.
var verb = regexp.MustCompile(`%-?[*\d.]*\[?\d?\]?[a-z]`)

// What loopkey says to a person is broken into lines where it is written: a terminal would break it within a word.
func TestSaidFitsWindow(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			of, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || of.Sel.Name != "say" || len(call.Args) == 0 {
				return true
			}
			said++
			for line := range strings.SplitSeq(literal(call.Args[0]), "\n") {
				line = verb.ReplaceAllString(line, "x")
				if columns := utf8.RuneCountInString(line); columns > helpWidth {
					t.Errorf("%s: %d columns: %s", fset.Position(call.Pos()), columns, line)
				}
			}
			return true
		})
	}
	if said < 100 {
		t.Errorf("%d sentences found", said)
	}
}

// literal returns the text of a literal, or of several with plus signs between.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}
