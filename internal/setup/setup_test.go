package setup_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/setup"
	"github.com/loopkey/loopkey/internal/test/part"
)

// options are those of somebody with loopkey in PATH.
func options(t *testing.T) setup.Options {
	t.Helper()
	return setup.Options{
		Program: "loopkey", Path: "loopkey", Links: "/usr/local/bin", Home: t.TempDir(), Hosts: []string{"git.acme.example"},
		RoleARN: "arn:aws:iam::123456789012:role/dev", URL: "https://mcp.acme.example/mcp",
		Lookup: func(string) string { return "" },
	}
}

// What setup writes can be written twice, and taken out again: then the file is as it was, whatever it held.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for name, contents := range map[string][]string{
		"git":       {"", "[user]\n\tname = Ada\n", "[user]\n\tname = Ada"},
		"aws":       {"", "[default]\nregion = eu-central-1\n"},
		"bazel":     {"", "build --jobs=4\n"},
		"terraform": {"", "plugin_cache_dir = \"x\"\n"},
		"cargo":     {"", "[build]\njobs = 4\n", "[registry]\ndefault = \"acme\"\n\n[build]\njobs = 4\n"},
		"go":        {"", "GOFLAGS=-mod=mod\n", "GOAUTH=git /home/ada\nGOFLAGS=-mod=mod\n"},
		"google":    {"", "{\n  \"audience\": \"//iam\",\n  \"type\": \"external_account\"\n}\n"},
		"docker": {
			"", "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {}\n\t},\n\t\"detachKeys\": \"ctrl-e,e\"\n}\n",
			"{\n  \"credHelpers\": {\n    \"ghcr.io\": \"gh\"\n  }\n}\n",
		},
	} {
		for _, content := range contents {
			for _, profile := range []string{"", "work"} {
				o := options(t)
				o.Profile = profile
				tool := setup.Find(name)
				path := filepath.Join(o.Home, "configuration")
				if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
					t.Fatal(err)
				}
				once := apply(t, tool, o, path, false)
				if !strings.Contains(once, "loopkey") {
					t.Errorf("%s: %q became %q", name, content, once)
				}
				if twice := apply(t, tool, o, path, false); twice != once {
					t.Errorf("%s: a second time changes %q to %q", name, once, twice)
				}
				want := strings.TrimSuffix(content, "\n")
				if content == "" && name == "docker" {
					want = "{}"
				}
				if back := strings.TrimSuffix(apply(t, tool, o, path, true), "\n"); back != want {
					t.Errorf("%s: %q came back as %q", name, content, back)
				}
				if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
					t.Errorf("%s: the file's mode became %v (%v)", name, info.Mode(), err)
				}
			}
		}
	}
}

// apply makes the change, and returns what the file then holds.
func apply(t *testing.T, tool *setup.Tool, o setup.Options, path string, undo bool) string {
	t.Helper()
	change, err := tool.Plan(o, path, undo)
	if err != nil {
		t.Fatal(err)
	}
	if !change.IsEmpty() {
		backup, err := change.Write()
		if err != nil {
			t.Fatal(err)
		}
		if len(change.Lines()) == 0 || backup == "" {
			t.Errorf("%s: the change shows nothing, or keeps no copy", tool.Name)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A configuration that a person has to change is left as it is, and the reason is told.
func TestCannotEdit(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"docker": "{ // comment\n}", "cargo": "[registry]\nglobal-credential-providers = [\"cargo:libsecret\"]\n",
		"mcp": `{"mcpServers": []}`, "google": `{"type": "service_account", "private_key": "x"}`,
	} {
		o := options(t)
		path := filepath.Join(o.Home, "configuration")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := setup.Find(name).Plan(o, path, false); err == nil {
			t.Errorf("%s: %q can be changed", name, content)
		}
	}
}

// A file in a repository of such files is changed where it is, and stays a link.
func TestThroughALink(t *testing.T) {
	t.Parallel()
	o := options(t)
	real, link := filepath.Join(o.Home, "dotfiles"), filepath.Join(o.Home, ".gitconfig")
	if err := os.WriteFile(real, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		part.Missing(t, "no links on this system: %v", err)
	}
	apply(t, setup.Find("git"), o, link, false)
	content, err := os.ReadFile(real)
	if err != nil || !strings.Contains(string(content), "loopkey") {
		t.Errorf("the file holds %q (%v)", content, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
}

// The pages in docs/tools show the lines that setup prints.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, name := range setup.Names() {
		page, err := os.ReadFile(filepath.Join("..", "..", "docs", "tools", name+".md"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		o := options(t)
		o.Name = map[string]string{"aws": "dev", "mcp": "acme"}[name] // as the pages call them
		for _, host := range []string{"git.acme.example", "registry.acme.example", "*.build.acme.example", "*.acme.example"} {
			if strings.Contains(string(page), `host = "`+host+`"`) {
				o.Hosts = []string{host}
			}
		}
		if lines := setup.Find(name).Lines(o); !strings.Contains(string(page), lines) {
			t.Errorf("docs/tools/%s.md lacks these lines:\n%s", name, lines)
		}
	}
}

// Words are quoted so that the tool reads them back.
func TestQuoting(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the path is one of Unix")
	}
	o := options(t)
	o.Program, o.Path, o.Profile = "/opt/my tools/lo'opkey", "/opt/my tools/lo'opkey", "work"
	for name, want := range map[string]string{
		"git":        `helper = "!'/opt/my tools/lo'\\''opkey' credential git --profile work"`,
		"aws":        `credential_process = "/opt/my tools/lo'opkey" credential aws --profile work --role-arn arn:`,
		"kubernetes": `'--exec-command=/opt/my tools/lo'\''opkey' `,
		"mcp":        `"command": "/opt/my tools/lo'opkey", "args": ["mcp", "https://mcp.acme.example/mcp", "--profile"`,
	} {
		if lines := setup.Find(name).Lines(o); !strings.Contains(lines, want) {
			t.Errorf("%s: %s lacks %s", name, lines, want)
		}
	}
}

// What another program writes while a person looks at a change is not lost.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	add := func(content string) (string, error) { return content + "mine\n", nil }
	for name, before := range map[string]string{"new": "", "old": "old\n"} {
		path := filepath.Join(t.TempDir(), "config.toml")
		if before != "" {
			if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		change, err := setup.PlanText(path, add)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(before+"theirs\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = change.Write()
		content, _ := os.ReadFile(path)
		if !errors.Is(err, setup.ErrChanged) || string(content) != before+"theirs\n" {
			t.Errorf("%s: %v leaves %q", name, err, content)
		}
	}
}
