package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// public are the packages that other programs import.
var public = []string{"provider", "loopback", "session", "keystore", "keystore/keystoretest", "webui"}

// Every exported name of the public packages has a user: code in another package of ours that is not only for tests, or
// testdata/program, which stands for programs of others. A name without one says in its doc comment whom it is for, in
// one of the forms of forWhom.
func TestExportedNames(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a name may have its users in files for another system")
	}
	packages := listPackages(t)
	fset := token.NewFileSet()
	exports := map[string]string{}
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	gc := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })

	names := map[string]*ast.CommentGroup{} // the exported names, as nameOf writes them
	used := map[string]bool{}
	for _, p := range append(packages, listedPackage{
		ImportPath: "example.com/program", Dir: filepath.Join("testdata", "program"),
		GoFiles: []string{"main.go"}, ours: true,
	}) {
		if !p.ours {
			continue
		}
		files, info := check(t, fset, gc, p)
		short := strings.TrimPrefix(p.ImportPath, module)
		if slices.Contains(public, short) {
			for _, file := range files {
				maps.Copy(names, declared(short, file))
			}
		}
		if strings.HasPrefix(short, "internal/test/") {
			continue
		}
		for _, object := range info.Uses {
			if pkg := object.Pkg(); pkg != nil && pkg.Path() != p.ImportPath {
				used[nameOf(object)] = true
				if fn, ok := object.(*types.Func); ok { // what it returns may be used without being named
					for result := range fn.Signature().Results().Variables() {
						if name := namedType(result.Type()); name != nil && name.Pkg() != nil {
							used[nameOf(name)] = true
						}
					}
				}
			}
		}
		for _, selection := range info.Selections {
			if pkg := selection.Obj().Pkg(); pkg != nil && pkg.Path() != p.ImportPath {
				used[nameOf(selection.Obj())] = true
			}
		}
	}
	if len(names) < 100 {
		t.Errorf("only %d exported names were found", len(names))
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		doc := strings.Join(strings.Fields(names[name].Text()), " ")
		if !used[name] && !forWhom.MatchString(doc) {
			t.Errorf("%s has no user outside its package, and its doc comment does not say whom it is for", name)
		}
	}
}

var forWhom = regexp.MustCompile(`for programs|for callers|a caller tells apart|for errors\.(Is|As)|exported for`)

type listedPackage struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	Module                  *struct{ Main bool }
	ours                    bool
}

// listPackages returns our packages and all that they import, compiled.
func listPackages(t *testing.T) (all []listedPackage) {
	t.Helper()
	cmd := exec.CommandContext(
		t.Context(), "go", "list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles,Module", "./...",
	)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for list := json.NewDecoder(bytes.NewReader(out)); list.More(); {
		var p listedPackage
		if err := list.Decode(&p); err != nil {
			t.Fatal(err)
		}
		p.ours = p.Module != nil && p.Module.Main
		all = append(all, p)
	}
	return all
}

// check parses and type-checks a package.
func check(
	t *testing.T, fset *token.FileSet, gc types.Importer, p listedPackage,
) (files []*ast.File, info *types.Info) {
	t.Helper()
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	info = &types.Info{Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	if _, err := (&types.Config{Importer: gc}).Check(p.ImportPath, fset, files, info); err != nil {
		t.Fatalf("%s: %v", p.ImportPath, err)
	}
	return files, info
}

// nameOf returns the name of a package-level object, such as "session.Open", or of a method, such as
// "session.Session.End".
func nameOf(object types.Object) string {
	short := strings.TrimPrefix(object.Pkg().Path(), module)
	if fn, ok := object.(*types.Func); ok && fn.Signature().Recv() != nil {
		if recv := namedType(fn.Signature().Recv().Type()); recv != nil {
			return short + "." + recv.Name() + "." + object.Name()
		}
	}
	return short + "." + object.Name()
}

// namedType returns the name of a type or of what it points to; nil if it has none.
func namedType(t types.Type) *types.TypeName {
	if pointer, ok := t.(*types.Pointer); ok {
		t = pointer.Elem()
	}
	if named, ok := t.(*types.Named); ok {
		return named.Obj()
	}
	return nil
}

// declared returns the exported names that a file declares, with their doc comments.
func declared(short string, file *ast.File) map[string]*ast.CommentGroup {
	names := map[string]*ast.CommentGroup{}
	add := func(name string, docs ...*ast.CommentGroup) {
		for _, part := range strings.Split(name, ".") {
			if !ast.IsExported(part) {
				return
			}
		}
		all := &ast.CommentGroup{}
		for _, doc := range docs {
			if doc != nil {
				all.List = append(all.List, doc.List...)
			}
		}
		names[short+"."+name] = all
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name.Name, d.Doc)
			} else if !implied[d.Name.Name] {
				add(receiver(d.Recv.List[0].Type)+"."+d.Name.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					add(s.Name.Name, d.Doc, s.Doc, s.Comment)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						add(name.Name, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return names
}

// implied are the methods that the standard library calls, and provider.Diagnose.
var implied = map[string]bool{
	"Error": true, "Unwrap": true, "Is": true, "As": true, "String": true, "GoString": true, "Format": true,
	"MarshalJSON": true, "MarshalText": true, "LogValue": true, "Diagnosis": true,
}

func receiver(expr ast.Expr) string {
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	if generic, ok := expr.(*ast.IndexExpr); ok {
		expr = generic.X
	}
	return expr.(*ast.Ident).Name
}
