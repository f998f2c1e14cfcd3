// Package npm installs packages from npm for tests, in the versions of a lock file.
//
// It needs node and npm. Where one is missing, or npm ci can't get the packages, the test is skipped and says why; with
// LOOPKEY_TEST_REAL=1 it fails. With -short it is skipped in any case.
package npm

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/part"
)

// Install installs what the package.json and package-lock.json in files name, and returns the folder that holds the
// node_modules. The folder lies in the user's cache folder and is reused while these files stay the same.
func Install(t testing.TB, name string, files fs.FS) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("it needs %s from npm", name)
	}
	dir, err := install(name, files)
	if err == nil {
		return dir
	}
	part.Missing(t, "%s can't be installed from npm here: %v", name, err)
	return ""
}

func install(name string, files fs.FS) (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is missing", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	contents := map[string][]byte{}
	sum := sha256.New()
	for _, file := range []string{"package.json", "package-lock.json", ".npmrc"} {
		if contents[file], err = fs.ReadFile(files, file); err != nil {
			return "", err
		}
		sum.Write(contents[file])
	}
	dir := filepath.Join(cache, "loopkey-tests", fmt.Sprintf("%s-%.12x", name, sum.Sum(nil)))
	if present(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-") // another process may be installing the same
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for file, content := range contents {
		if err := os.WriteFile(filepath.Join(fresh, file), content, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--loglevel=error")
	npm.Dir, npm.WaitDelay = fresh, time.Second
	if output, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, output)
	}
	if err := os.Rename(fresh, dir); err != nil && !present(dir) {
		return "", err
	}
	return dir, nil
}

func present(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "node_modules"))
	return err == nil
}
