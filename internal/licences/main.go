// Command licences writes the licences of everything that is linked into loopkey to THIRD_PARTY_LICENCES, and the
// notices that go with them to NOTICE.
//
//	go run ./internal/licences          # writes both files
//	go run ./internal/licences -check   # fails where a file is out of date
//
// It fails on a module without a licence, on a licence that is not permissive, and on one that it does not know: then
// a person reads the licence, and adds its text to the folder texts or takes another module. It asks `go list` and the
// module cache, never the network.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	licencesFile = "THIRD_PARTY_LICENCES"
	noticeFile   = "NOTICE"
)

// platforms are those that .ci/run builds for, without cgo as it does.
var platforms = []string{"linux/amd64", "darwin/arm64", "windows/amd64"}

func main() {
	check := flag.Bool("check", false, "write nothing, and fail where a file is out of date")
	flag.Parse()
	if err := run(context.Background(), ".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// run writes both files into root, which holds loopkey's go.mod, or compares them with what it would write.
func run(ctx context.Context, root string, check bool) error {
	modules, err := linked(ctx, root)
	if err != nil {
		return err
	}
	goroot, err := goRoot(ctx)
	if err != nil {
		return err
	}
	goModule, err := standardLibrary(goroot, modules)
	if err != nil {
		return err
	}
	files, err := produce(append([]module{goModule}, modules...))
	if err != nil {
		return err
	}
	var outdated []string
	for name, content := range files {
		path := filepath.Join(root, name)
		if !check {
			if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // a file for everybody
				return err
			}
			continue
		}
		if committed, err := os.ReadFile(path); err != nil || !bytes.Equal(committed, content) {
			outdated = append(outdated, name)
		}
	}
	if len(outdated) > 0 {
		slices.Sort(outdated)
		return fmt.Errorf("out of date, run go run ./internal/licences: %s", strings.Join(outdated, ", "))
	}
	return nil
}

// A module is linked into the binary on some platforms.
type module struct {
	Path, Version string
	platforms     []string
	dirs          []string // where a licence may lie: the module's folder, and those of its linked packages
}

// linked returns the modules that loopkey's binaries hold, by path, without loopkey itself.
func linked(ctx context.Context, root string) ([]module, error) {
	found := map[string]*module{}
	for _, platform := range platforms {
		if err := addLinked(ctx, found, root, platform); err != nil {
			return nil, err
		}
	}
	var modules []module
	for _, m := range found {
		slices.Sort(m.dirs)
		m.dirs = slices.Compact(m.dirs)
		modules = append(modules, *m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return modules, nil
}

func addLinked(ctx context.Context, found map[string]*module, root, platform string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Dir,Module", ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOPROXY=off", "GOFLAGS=-mod=readonly")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list for %s: %w", platform, said(err))
	}
	for packages := json.NewDecoder(bytes.NewReader(out)); packages.More(); {
		var p struct {
			Dir    string
			Module *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		if err := packages.Decode(&p); err != nil {
			return fmt.Errorf("go list for %s: %w", platform, err)
		}
		if p.Module == nil || p.Module.Main { // the standard library; loopkey
			continue
		}
		m := found[p.Module.Path]
		if m == nil {
			m = &module{Path: p.Module.Path, Version: p.Module.Version}
			found[p.Module.Path] = m
		}
		if !slices.Contains(m.platforms, goos) {
			m.platforms = append(m.platforms, goos)
		}
		for dir := p.Dir; dir != p.Module.Dir && strings.HasPrefix(dir, p.Module.Dir); dir = filepath.Dir(dir) {
			m.dirs = append(m.dirs, dir)
		}
		m.dirs = append(m.dirs, p.Module.Dir)
	}
	return nil
}

// standardLibrary returns Go itself, which is linked too. A Go that a distribution packaged may come without its
// licence; then golang.org/x/sys, which is always linked, has the same one of the same authors.
func standardLibrary(goroot string, modules []module) (module, error) {
	all := []string{"linux", "darwin", "windows"}
	m := module{Path: "the standard library of Go", platforms: all, dirs: []string{goroot}}
	if _, err := os.Stat(filepath.Join(goroot, "LICENSE")); err == nil {
		return m, nil
	}
	for _, other := range modules {
		if other.Path == "golang.org/x/sys" {
			m.dirs = other.dirs
			return m, nil
		}
	}
	return m, fmt.Errorf("no licence of Go in %s", goroot)
}

func goRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", said(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// said adds to an error of a command what the command wrote to stderr.
func said(err error) error {
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// produce returns the content of both files, or an error that names every module whose licence will not do.
func produce(modules []module) (map[string][]byte, error) {
	var licences, notice strings.Builder
	licences.WriteString(licencesHead)
	notice.WriteString(noticeHead)
	var problems []error
	for _, m := range modules {
		found, err := read(m)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", strings.TrimSpace(m.Path+" "+m.Version), err))
			continue
		}
		where := ""
		if len(m.platforms) < len(platforms) {
			where = ", on " + strings.Join(m.platforms, " and ") + " alone"
		}
		title := strings.TrimSpace(m.Path + " " + m.Version)
		fmt.Fprintf(&licences, "\n%s\n%s (%s%s)\n\n", strings.Repeat("=", 80), title, strings.Join(found.names, ", "), where)
		licences.WriteString(strings.Join(found.licences, "\n"+strings.Repeat("-", 80)+"\n\n"))
		for _, text := range found.notices {
			fmt.Fprintf(&notice, "\n%s says:\n\n%s", m.Path, indented(text))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return map[string][]byte{licencesFile: []byte(licences.String()), noticeFile: []byte(notice.String())}, nil
}

const licencesHead = `The licences of what is linked into loopkey's binary, beside loopkey's own (LICENSE).
Written by: go run ./internal/licences
`

const noticeHead = `loopkey
Copyright 2026 The loopkey authors

loopkey's binary holds the work of others; their licences are in THIRD_PARTY_LICENCES.
Written by: go run ./internal/licences
`

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("    "+line, " \n") + "\n")
	}
	return b.String()
}

// texts of a module.
type found struct {
	names    []string // of its licences, as SPDX writes them
	licences []string
	notices  []string
}

// read returns the licences and notices in a module's folders, each text once.
func read(m module) (found, error) {
	var f found
	for _, dir := range m.dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return f, err
		}
		for _, entry := range entries {
			isLicence, isNotice := kind(entry.Name())
			if entry.IsDir() || !isLicence && !isNotice {
				continue
			}
			content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				return f, err
			}
			text := tidy(content)
			if isNotice {
				if !slices.Contains(f.notices, text) {
					f.notices = append(f.notices, text)
				}
				continue
			}
			names, err := recognise(text)
			if err != nil {
				return f, fmt.Errorf("%s: %w", entry.Name(), err)
			}
			for _, name := range names {
				if !slices.Contains(f.names, name) {
					f.names = append(f.names, name)
				}
			}
			if !slices.Contains(f.licences, text) {
				f.licences = append(f.licences, text)
			}
		}
	}
	if len(f.licences) == 0 {
		return f, errors.New("there is no licence")
	}
	return f, nil
}

// kind tells by the name of a file what it holds.
func kind(name string) (isLicence, isNotice bool) {
	if strings.HasSuffix(strings.ToLower(name), ".go") {
		return false, false
	}
	word := strings.ToLower(name)
	if i := strings.IndexAny(word, ".-_"); i >= 0 {
		word = word[:i]
	}
	switch word {
	case "license", "licence", "licenses", "licences", "copying", "unlicense":
		return true, false
	case "notice", "notices":
		return false, true
	}
	return false, false
}

// tidy gives a text the line ends of this repository.
func tidy(content []byte) string {
	var b strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(string(content), "\r\n", "\n")) {
		b.WriteString(strings.TrimRight(line, " \t\n") + "\n")
	}
	return strings.Trim(b.String(), "\n") + "\n"
}
