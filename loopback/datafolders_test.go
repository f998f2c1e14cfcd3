//go:build unix

package loopback

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// No program is run from the folder that the person happens to be in: neither a desktop file in it counts, nor a
// command that is a relative path.
func TestDesktopFilesElsewhere(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "relative")
	t.Setenv("XDG_DATA_DIRS", ":./here:/usr/share")
	if got := dataFolders(); !slices.Equal(got, []string{"/usr/share"}) {
		t.Errorf("%q", got)
	}
	for command, ok := range map[string]bool{
		"chromium %U": true, "/usr/bin/chromium %U": true, "./chromium %U": false, "bin/chromium": false,
	} {
		path := filepath.Join(t.TempDir(), "x.desktop")
		if err := os.WriteFile(path, []byte("[Desktop Entry]\nExec="+command+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := execOf(path); (got != nil) != ok {
			t.Errorf("%s: %q", command, got)
		}
	}
}
