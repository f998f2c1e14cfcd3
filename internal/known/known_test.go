package known_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	if err := known.Forget(dir, k.Name(), k.Keystore); err != nil {
		t.Fatal(err)
	}
	count(0)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%v is left, %v", entries, err)
	}
}

// A note lists every keystore in which a login may still be, until that one was found empty.
func TestKeystores(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	k := known.Client{Profile: "work", Issuer: "https://issuer.example.com", ClientID: "c"}
	check := func(want ...string) {
		t.Helper()
		got, ok := known.Recall(dir, k.Name())
		if ok != (len(want) > 0) || ok && !slices.Equal(got.Keystores(), want) {
			t.Errorf("%v, want %v", got.Keystores(), want)
		}
	}
	remember := func(keystore string) (undo func()) {
		t.Helper()
		k.Keystore = keystore
		undo, err := known.Remember(dir, k)
		if err != nil {
			t.Fatal(err)
		}
		return undo
	}
	forget := func(keystore string) {
		t.Helper()
		if err := known.Forget(dir, k.Name(), keystore); err != nil {
			t.Fatal(err)
		}
	}
	remember("keychain")
	undo := remember("file")
	check("file", "keychain")
	undo()
	check("keychain")
	remember("file")
	remember("file")
	check("file", "keychain")
	remember("socket:/s")
	remember("keychain")
	check("keychain", "socket:/s", "file")
	forget("elsewhere")
	check("keychain", "socket:/s", "file")
	forget("keychain")
	check("socket:/s", "file")
	forget("file")
	check("socket:/s")
	forget("socket:/s")
	check()
	forget("file")
}

// The sessions of a profile are those of no other one, also where one name begins with the other.
func TestOfProfile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	for _, profile := range []string{"a", "a.b", "b", ""} {
		k := known.Client{Profile: profile, Issuer: "https://issuer.example.com", ClientID: "c"}
		if _, err := known.Remember(dir, k); err != nil {
			t.Fatal(err)
		}
	}
	for _, profile := range []string{"a", "a.b", "b", ""} {
		if all, err := known.OfProfile(dir, profile); err != nil || len(all) != 1 || all[0].Profile != profile {
			t.Errorf("profile %q: %v, %v", profile, all, err)
		}
	}
	if all, err := known.OfProfile(dir, "c"); err != nil || len(all) != 0 {
		t.Errorf("a profile without sessions: %v, %v", all, err)
	}
}

func BenchmarkOfProfile(b *testing.B) {
	for _, n := range []int{1, 1000} {
		dir := filepath.Join(b.TempDir(), "state")
		for i := range n {
			k := known.Client{Profile: "p" + strconv.Itoa(i), Issuer: "https://issuer.example.com", ClientID: "c"}
			if _, err := known.Remember(dir, k); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				if all, err := known.OfProfile(dir, "p0"); err != nil || len(all) != 1 {
					b.Fatal(all, err)
				}
			}
		})
	}
}
