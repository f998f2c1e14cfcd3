package private

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReplaceAndRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := Dir(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "file")
	for _, content := range []string{"one", "longer than one", ""} {
		if err := Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path, 6); err != nil || string(got) != content[:min(6, len(content))] {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := Replace(filepath.Join(dir, "none", "file"), nil); err == nil {
		t.Error("a file was written where there is no folder")
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"folder", "none"} {
		if _, err := Read(filepath.Join(dir, name), 6); err == nil {
			t.Errorf("%s was read", name)
		}
		if err := Socket(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is taken for a socket", name)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
