//go:build unix

package keystore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSocketRefusesOpenDirectories(t *testing.T) {
	t.Parallel()
	path := served(t, Memory())
	if err := Dial(path).Delete(t.Context(), "me"); err != nil { // it serves
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(path).Load(t.Context(), "me"); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) {
		t.Errorf("Dial: %v", err)
	}
	if err := Serve(t.Context(), listen(t, path+"2"), Memory()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Serve: %v", err)
	}
}
