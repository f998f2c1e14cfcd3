//go:build unix

package sharedstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/loopkey/loopkey/keystore"
)

func TestSocketRefusesOpenDirectories(t *testing.T) {
	t.Parallel()
	path := served(t, keystore.Memory())
	if err := Dial(path).Delete(t.Context(), "me"); err != nil { // it serves
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Dial(path).Load(t.Context(), "me")
	if !errors.Is(err, keystore.ErrUnavailable) || errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("Dial: %v", err)
	}
	if err := Serve(t.Context(), listen(t, path+"2"), keystore.Memory()); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("Serve: %v", err)
	}
}
