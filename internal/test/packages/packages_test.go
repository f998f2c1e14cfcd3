package packages

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const root = "../../.."

// A release is the part of .goreleaser.yaml that the tests use.
type release struct {
	Builds []struct {
		Env, Flags, Ldflags []string
	}
	NFPMs []map[string]any `yaml:"nfpms"`
	Casks []struct {
		Manpages []string
	} `yaml:"homebrew_casks"`
}

func readRelease(t *testing.T) release {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var r release
	if err := yaml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Builds) != 1 || len(r.NFPMs) != 1 {
		t.Fatalf("%d builds and %d packages", len(r.Builds), len(r.NFPMs))
	}
	return r
}

// build builds loopkey from the sources in dir as a release does, and returns the binary.
func (r release) build(t *testing.T, dir string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "loopkey")
	args := append([]string{"build", "-o", out}, r.Builds[0].Flags...)
	args = append(args, "-buildvcs=false", "-ldflags="+strings.Join(r.Builds[0].Ldflags, " "), ".") // no .git elsewhere
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(r.Builds[0].Env, "GOFLAGS=")...)
	run(t, cmd)
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
	return string(out)
}

// Two builds in two folders are the same bytes: neither the path nor the time is in the binary.
func TestReproducible(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds twice")
	}
	elsewhere := t.TempDir()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case entry.IsDir() && name != ".git" && name != "dist":
			err = os.CopyFS(filepath.Join(elsewhere, name), os.DirFS(filepath.Join(root, name)))
		case filepath.Ext(name) == ".go" || name == "go.mod" || name == "go.sum":
			var text []byte
			if text, err = os.ReadFile(filepath.Join(root, name)); err == nil {
				err = os.WriteFile(filepath.Join(elsewhere, name), text, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r := readRelease(t)
	here, there := r.build(t, root), r.build(t, elsewhere)
	if !bytes.Equal(here, there) {
		t.Errorf("two builds of the same sources differ: %d and %d bytes", len(here), len(there))
	}
	if bytes.Contains(there, []byte(elsewhere)) {
		t.Error("the binary holds the path of its sources")
	}
}

// Homebrew installs the manual pages that the cask names: all of them.
func TestCaskManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	manual := exec.CommandContext(t.Context(), "go", "run", "./internal/manual", dir)
	manual.Dir = root
	run(t, manual)
	var pages []string
	for _, section := range []string{"man1", "man7"} {
		found, err := filepath.Glob(filepath.Join(dir, section, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			pages = append(pages, section+"/"+filepath.Base(path))
		}
	}
	casks := readRelease(t).Casks
	if len(casks) != 1 || len(pages) < 2 {
		t.Fatalf("%d casks and %d pages", len(casks), len(pages))
	}
	if diff := cmp.Diff(pages, casks[0].Manpages); diff != "" {
		t.Errorf("the cask (+) beside the manual (-):\n%s", diff)
	}
}
