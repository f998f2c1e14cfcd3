package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The code reads as .golangci.yml can't check: a map with the keys true and false is no condition, no function is named
// make or try, and no comment has words that readers had to decode.
func TestVoice(t *testing.T) {
	t.Parallel()
	decoded := regexp.MustCompile(`(?i)\b(mend|mends|mended|whosever|anybodys|whom is logged in)\b`)
	fset, files := token.NewFileSet(), 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || path == "voice_test.go" {
			return err
		}
		files++
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, group := range file.Comments {
			if words := decoded.FindString(group.Text()); words != "" {
				t.Errorf("%s: a comment says %q", fset.Position(group.Pos()), words)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.IndexExpr:
				if literal, ok := n.X.(*ast.CompositeLit); ok && isBoolMap(literal.Type) {
					t.Errorf("%s: a map[bool] is no condition: use if", fset.Position(n.Pos()))
				}
			case *ast.FuncDecl:
				if name := n.Name.Name; name == "make" || name == "try" {
					t.Errorf("%s: the name %s says nothing", fset.Position(n.Pos()), name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 200 {
		t.Errorf("only %d files were read", files)
	}
}

func isBoolMap(expr ast.Expr) bool {
	m, ok := expr.(*ast.MapType)
	if !ok {
		return false
	}
	key, ok := m.Key.(*ast.Ident)
	return ok && key.Name == "bool"
}
