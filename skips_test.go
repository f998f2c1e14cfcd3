package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A test that is skipped where it should run proves nothing, and nobody sees it. So a test skips only under -short, on
// another system, or by internal/test/part, which fails it where LOOPKEY_TEST_REAL=1 promises all parts. What is
// skipped even there says why, in a comment on its line or the one before, which begins with stillSkipped.
func TestSkips(t *testing.T) {
	t.Parallel()
	const stillSkipped = "// Also with LOOPKEY_TEST_REAL: "
	found := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte(".Skip")) {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		reasons := map[int]bool{} // the lines that say why
		for _, group := range file.Comments {
			for _, comment := range group.List {
				if strings.HasPrefix(comment.Text, stillSkipped) {
					line := fset.Position(comment.Pos()).Line
					reasons[line], reasons[line+1] = true, true
				}
			}
		}
		var above []ast.Node
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil {
				above = above[:len(above)-1]
				return true
			}
			if isSkip(n) {
				found++
				if at := fset.Position(n.Pos()); !reasons[at.Line] && !isForShortOrSystem(above) {
					t.Errorf("%s: a test is skipped though LOOPKEY_TEST_REAL is set: use internal/test/part, or say why", at)
				}
			}
			above = append(above, n)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 40 {
		t.Errorf("only %d skips were found", found)
	}
}

// isSkip reports whether n is a call that skips a test or a benchmark.
func isSkip(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch method.Sel.Name {
	case "Skip", "Skipf", "SkipNow":
		return true
	}
	return false
}

// isForShortOrSystem reports whether the innermost condition above a node asks for -short or for the system.
func isForShortOrSystem(above []ast.Node) bool {
	for i := len(above) - 1; i >= 0; i-- {
		condition, ok := above[i].(*ast.IfStmt)
		if !ok {
			continue
		}
		asked := false
		ast.Inspect(condition.Cond, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				x, _ := s.X.(*ast.Ident)
				name := s.Sel.Name
				asked = asked || x != nil && (x.Name == "testing" && name == "Short" || x.Name == "runtime" && name == "GOOS")
			}
			return true
		})
		return asked
	}
	return false
}
