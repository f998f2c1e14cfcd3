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
// make or try, no comment has words that readers had to decode, and what the environment tells of the terminal's
// surroundings is looked up in internal/environ alone.
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
			case *ast.BasicLit:
				if isSurrounding(path, n.Value) {
					t.Errorf("%s: internal/environ has what %s tells", fset.Position(n.Pos()), n.Value)
				}
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

// isSurrounding reports whether a literal in a file names what only internal/environ should look at. internal/clipboard
// has a program for each kind of display, and the programs under internal/test set up what others look at.
func isSurrounding(path, literal string) bool {
	dir := filepath.ToSlash(filepath.Dir(path))
	if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(dir, "internal/test/") ||
		dir == "internal/environ" || dir == "internal/clipboard" {
		return false
	}
	switch strings.Trim(literal, "\"`") {
	case "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT", "WSL_DISTRO_NAME", "WSL_INTEROP",
		"REMOTE_CONTAINERS", "CODESPACES", "NO_COLOR", ".dockerenv", "/.dockerenv", "/run/.containerenv":
		return true
	}
	return false
}

func isBoolMap(expr ast.Expr) bool {
	m, ok := expr.(*ast.MapType)
	if !ok {
		return false
	}
	key, ok := m.Key.(*ast.Ident)
	return ok && key.Name == "bool"
}
