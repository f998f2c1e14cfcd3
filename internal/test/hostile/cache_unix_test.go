//go:build unix

package hostile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/loopkey/loopkey/internal/environ"
)

// Keys in a cache that others could write are not believed.
func TestForeignCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.machine(t)
	if r := m.run(t, "token", "--force-refresh"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	cache := filepath.Join(environ.Lookup(m.env, "HOME"), ".cache/loopkey")
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the cache holds %v, %v", entries, err)
	}
	path := filepath.Join(cache, entries[0].Name())
	for _, change := range []func() error{
		func() error { return os.Chmod(path, 0o666) },
		func() error { return os.Chown(path, 12345, 12345) },
	} {
		w.Reset()
		if err := change(); err != nil {
			t.Logf("not tried: %v", err)
			continue
		}
		if r := m.run(t, "token", "--force-refresh"); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
		w.count(t, map[string]int{Discovery: 1})
	}
}
