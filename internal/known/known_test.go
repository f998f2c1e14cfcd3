package known_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/loopkey/loopkey/internal/known"
)

// A session is noted before it is stored, and the note taken back when that fails,
// unless it was there before.
func TestRemember(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	k := known.Client{Profile: "work", Issuer: "https://issuer.example.com", ClientID: "c"}
	count := func(want int) {
		t.Helper()
		if all, err := known.All(dir); err != nil || len(all) != want {
			t.Errorf("%d sessions are known, %v", len(all), err)
		}
	}
	undo, err := known.Remember(dir, k)
	if err != nil {
		t.Fatal(err)
	}
	count(1)
	undo()
	count(0)
	if _, err := known.Remember(dir, k); err != nil {
		t.Fatal(err)
	}
	if undo, err = known.Remember(dir, k); err != nil {
		t.Fatal(err)
	}
	undo()
	count(1)
	if err := known.Forget(dir, k.Name()); err != nil {
		t.Fatal(err)
	}
	count(0)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%v is left, %v", entries, err)
	}
}
