package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/terminal"
)

// A client secret goes into a file of its owner's alone, which the profile names, and is not shown.
func TestKeepSecret(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	a := &app{terminal: terminal.New(strings.NewReader(""), &said, nil, nil), flags: map[string]string{}}
	folder := filepath.Join(t.TempDir(), "loopkey")
	w := &wizard{app: a, config: &config.Config{File: filepath.Join(folder, "config.toml")}, profile: "work"}
	if err := w.keepSecret("hush"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "client-secret.work")
	content, err := os.ReadFile(path)
	if err != nil || string(content) != "hush\n" || a.flags["client-secret-file"] != path {
		t.Errorf("%s holds %q (%v), and the flag is %q", path, content, err, a.flags["client-secret-file"])
	}
	if strings.Contains(said.String(), "hush") {
		t.Errorf("the secret is shown: %s", said.String())
	}
	for path, mode := range map[string]os.FileMode{path: 0o600, folder: 0o700} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}
