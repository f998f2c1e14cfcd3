package session_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// descriptors returns how many open descriptors of this process lead into a folder.
func descriptors(t *testing.T, dir string) (open int) {
	t.Helper()
	const fds = "/proc/self/fd"
	entries, err := os.ReadDir(fds)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(fds, entry.Name())); err == nil && strings.HasPrefix(target, dir) {
			open++
		}
	}
	return open
}
