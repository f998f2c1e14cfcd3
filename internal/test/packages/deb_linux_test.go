package packages

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/loopkey/loopkey/internal/test/part"
)

// The Debian package installs into an empty system, runs there, and leaves nothing behind when it is removed. The
// others hold the same.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds a package")
	}
	for _, program := range []string{"nfpm", "dpkg"} {
		if _, err := exec.LookPath(program); err != nil {
			part.Missing(t, "%s is not installed", program)
		}
	}
	if os.Getuid() != 0 {
		part.Missing(t, "only root can install a package")
	}
	dir := contents(t)
	deb := pack(t, dir, "deb")

	system := t.TempDir()
	admin := filepath.Join(system, "var/lib/dpkg")
	for _, folder := range []string{"updates", "info"} {
		if err := os.MkdirAll(filepath.Join(admin, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(admin, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) {
		args = append([]string{"--root=" + system, "--force-script-chrootless", "--log=/dev/null"}, args...)
		run(t, exec.CommandContext(t.Context(), "dpkg", args...))
	}
	before := files(t, system)
	dpkg("--install", deb)
	installed := exec.CommandContext(t.Context(), filepath.Join(system, "usr/bin/loopkey"), "version")
	if out := run(t, installed); !strings.HasPrefix(out, "loopkey ") {
		t.Errorf("the installed program says %q", out)
	}
	for _, path := range []string{
		"usr/share/man/man1/loopkey-login.1", "usr/share/man/man7/loopkey-headless.7",
		"usr/share/bash-completion/completions/loopkey", "usr/share/zsh/vendor-completions/_loopkey",
		"usr/share/fish/vendor_completions.d/loopkey.fish", "usr/share/doc/loopkey/copyright",
	} {
		if info, err := os.Stat(filepath.Join(system, path)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path := range files(t, filepath.Join(system, "usr")) {
		info, err := os.Stat(filepath.Join(system, "usr", path))
		if err != nil || info.Mode().Perm()&0o044 != 0o044 {
			t.Errorf("usr/%s can be read by root alone: %v, %v", path, info.Mode(), err)
		}
	}
	holdSame(t, dir, regular(t, system, "usr"))
	dpkg("--purge", "loopkey")
	for path := range files(t, system) {
		if !before[path] && !strings.HasPrefix(path, "var/lib/dpkg/") {
			t.Errorf("%s is left behind", path)
		}
	}
}

// holdSame checks that the other packages hold what the Debian package does, as others than root may read it, and run
// nothing. One folder differs: that of zsh's completions.
func holdSame(t *testing.T, dir string, deb map[string]fs.FileMode) {
	t.Helper()
	const zsh = "usr/share/zsh/site-functions/_loopkey"
	wanted := maps.Clone(deb)
	wanted[zsh] = wanted["usr/share/zsh/vendor-completions/_loopkey"]
	delete(wanted, "usr/share/zsh/vendor-completions/_loopkey")
	type reader func(*testing.T, string) map[string]fs.FileMode
	for format, read := range map[string]reader{"rpm": rpmFiles, "apk": apkFiles} {
		has := read(t, pack(t, dir, format))
		// What a package does not list, its manager leaves behind.
		const docs = "usr/share/doc/loopkey"
		if !has[docs].IsDir() {
			t.Errorf("the %s package does not hold the folder %s", format, docs)
		}
		maps.DeleteFunc(has, func(_ string, mode fs.FileMode) bool { return mode.IsDir() })
		if diff := cmp.Diff(wanted, has); diff != "" {
			t.Errorf("the %s package (+) beside the Debian one (-):\n%s", format, diff)
		}
	}
}

// regular returns the modes of the files under a folder of a system.
func regular(t *testing.T, system, folder string) map[string]fs.FileMode {
	t.Helper()
	modes := map[string]fs.FileMode{}
	for path := range files(t, filepath.Join(system, folder)) {
		info, err := os.Lstat(filepath.Join(system, folder, path))
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsDir() {
			modes[filepath.Join(folder, path)] = info.Mode()
		}
	}
	return modes
}

// contents returns a folder with what the packages are made of, as a release makes them.
func contents(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"LICENSE", "NOTICE", "THIRD_PARTY_LICENCES"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600) // as with a strict umask
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	manual := exec.CommandContext(t.Context(), "go", "run", "./internal/manual", filepath.Join(dir, "dist-manual"))
	manual.Dir = root
	run(t, manual)
	r := readRelease(t)
	if err := os.WriteFile(filepath.Join(dir, "loopkey"), r.build(t, root), 0o755); err != nil {
		t.Fatal(err)
	}
	// What GoReleaser adds to its part of the file.
	config := r.NFPMs[0]
	config["name"], config["version"], config["arch"], config["platform"] = "loopkey", "0.0.1", runtime.GOARCH, "linux"
	config["contents"] = append(config["contents"].([]any), map[string]any{
		"src": "loopkey", "dst": config["bindir"].(string) + "/loopkey", "file_info": map[string]any{"mode": 0o755},
	})
	for _, key := range []string{"id", "package_name", "file_name_template", "formats", "bindir", "mtime"} {
		delete(config, key)
	}
	text, err := yaml.Marshal(config)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "nfpm.yaml"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// pack makes a package of a format, and returns its path.
func pack(t *testing.T, dir, format string) string {
	t.Helper()
	path := filepath.Join(dir, "loopkey."+format)
	cmd := exec.CommandContext(t.Context(), "nfpm", "package", "--packager", format, "--target", path)
	cmd.Dir = dir
	run(t, cmd)
	return path
}

// files returns the paths of all that is under dir, folders too.
func files(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		all[path] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
