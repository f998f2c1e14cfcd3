package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
)

// wants loads a record of sized(mark, …).
func wants(t *testing.T, s Store, name, mark string) {
	t.Helper()
	if r, err := s.Load(t.Context(), name); err != nil || !bytes.Equal(r.Head, sized(mark, 0).Head) {
		t.Errorf("%s: %q, %v", name, r.Head, err)
	}
}

// oldForm writes a record as versions did that had no identity.
func oldForm(t *testing.T, dir, name, mark, passphrase string) {
	t.Helper()
	f := QuickFile(dir, secretly(passphrase)).(*files)
	f.passphrase = passphrase
	entry, err := one(sized(mark, 100), false)
	if err != nil {
		t.Fatal(err)
	}
	content, err := f.encryptUnderPassphrase(entry)
	if err = errors.Join(err, os.MkdirAll(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+extension), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Records of an older version are read, and each is rewritten at its next Save. Their passphrase stays the one.
func TestFileOlderForm(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sessions")
	oldForm(t, dir, "me", "a", "right")
	oldForm(t, dir, "you", "b", "right")
	if err := QuickFile(dir, secretly("wrong")).Save(t.Context(), "me", sized("x", 10)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Save with a wrong passphrase: %v", err)
	}
	wants(t, QuickFile(dir, secretly("right")), "me", "a")
	if err := QuickFile(dir, secretly("right")).Save(t.Context(), "me", sized("c", 10)); err != nil {
		t.Fatal(err)
	}
	s := QuickFile(dir, secretly("right"))
	wants(t, s, "me", "c")
	wants(t, s, "you", "b")
	for name, old := range map[string]bool{"me": false, "you": true} {
		content, err := os.ReadFile(filepath.Join(dir, name+extension))
		if err != nil || bytes.HasPrefix(content, []byte(scryptRecord)) != old {
			t.Errorf("%s begins with %.40q, %v", name, content, err)
		}
	}
}

// Processes that make the identity at once agree on one.
func TestFileIdentityMadeAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sessions")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			name := fmt.Sprint("n", i)
			if err := QuickFile(dir, secretly("right")).Save(t.Context(), name, sized(name, 100)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	s := QuickFile(dir, secretly("right"))
	for i := range 8 {
		wants(t, s, fmt.Sprint("n", i), fmt.Sprint("n", i))
	}
}

// Whatever a crash leaves of the files of the identity, what was readable is readable, and a Save succeeds. Without the
// identity the passphrase is a new one, which is asked for twice.
func TestFileIdentityCrash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left  func(dir string) error
		reads bool // the record of before
	}{
		"half of the next identity": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, identityNew), []byte("age-enc"), 0o600)
		}, true},
		"an identity and no record": {func(dir string) error { return os.Remove(filepath.Join(dir, "me.age")) }, false},
		"a record and no identity":  {func(dir string) error { return os.Remove(filepath.Join(dir, identityFile)) }, false},
		"another identity": {func(dir string) error {
			other := saved(t, "me")
			return os.Rename(filepath.Join(other, identityFile), filepath.Join(dir, identityFile))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := saved(t, "me")
			if err := c.left(dir); err != nil {
				t.Fatal(err)
			}
			_, err := QuickFile(dir, secretly("right")).Load(t.Context(), "me")
			if c.reads != (err == nil) || err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) {
				t.Errorf("Load: %v", err)
			}
			p := &passphrases{all: []string{"right"}}
			if err := QuickFile(dir, p.ask).Save(t.Context(), "me", sized("n", 10)); err != nil {
				t.Errorf("Save: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, identityFile)); err != nil {
				t.Error(err)
			}
			if new := strings.HasSuffix(name, "no identity") || strings.HasSuffix(name, "no record"); new != (p.confirms == 1) {
				t.Errorf("asked %d times, %d of them twice", p.asked, p.confirms)
			}
			wants(t, QuickFile(dir, secretly("right")), "me", "n")
		})
	}
}

// An identity that is damaged beside records is not replaced by a new one, under whatever passphrase is typed next. The
// error names the file. Where that is put back, the records open again; where it is deleted, a new passphrase is asked
// for twice; where no record is left, it is in nobody's way.
func TestFileDamagedIdentity(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 50) },
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"garbage": func(path string) error { return os.WriteFile(path, []byte("garbage"), 0o600) },
		"no key": func(path string) error {
			f := QuickFile(filepath.Dir(path), nil).(*files)
			f.passphrase = "right"
			content, err := f.encryptUnderPassphrase("garbage")
			return errors.Join(err, os.WriteFile(path, content, 0o600))
		},
		"too large": func(path string) error { return os.Truncate(path, maxFile+1) },
		"a folder":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := saved(t, "me")
			path := filepath.Join(dir, identityFile)
			good, err := os.ReadFile(path)
			long := QuickFile(dir, secretly("right")) // a process that goes on meanwhile
			wants(t, long, "me", "me")
			if err = errors.Join(err, damage(path)); err != nil {
				t.Fatal(err)
			}
			refused := func(what string, err error) {
				t.Helper()
				u := new(UnavailableError)
				if !errors.As(err, &u) || u.Reason != ReasonDamagedKey || u.Path != path || errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %v", what, err)
				}
			}
			typed := "typed"
			if name == "no key" { // the only one in which a passphrase can be wrong
				typed = "right"
			}
			fresh := func() Store { return QuickFile(dir, secretly(typed)) }
			_, err = fresh().Load(t.Context(), "me")
			refused("Load", err)
			refused("Save", fresh().Save(t.Context(), "me", sized("n", 10)))
			refused("Save of another", fresh().Save(t.Context(), "you", sized("n", 10)))
			refused("Save by a process that goes on", long.Save(t.Context(), "me", sized("n", 10)))
			_, err = fresh().(Unlocker).Unlock(t.Context(), time.Minute)
			refused("Unlock", err)

			aside := path + ".aside"
			if err := os.Rename(path, aside); err != nil {
				t.Fatal(err)
			}
			_, err = fresh().(Unlocker).Unlock(t.Context(), time.Minute)
			refused("Unlock without an identity", err)
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
			wants(t, QuickFile(dir, secretly("right")), "me", "me")

			if err := errors.Join(os.Remove(path), os.Rename(aside, path), long.Delete(t.Context(), "me")); err != nil {
				t.Fatal(err)
			}
			p := &passphrases{all: []string{"other"}}
			if err := QuickFile(dir, p.ask).Save(t.Context(), "me", sized("n", 10)); err != nil || p.confirms != 1 {
				t.Errorf("Save without records: asked %d times, %d of them twice, %v", p.asked, p.confirms, err)
			}
			wants(t, QuickFile(dir, secretly("other")), "me", "n")
		})
	}
}

// An identity that protects no record binds nobody to its passphrase, as no file did before there were identities.
func TestFileNewPassphraseAfterDelete(t *testing.T) {
	t.Parallel()
	dir := saved(t, "me")
	long := QuickFile(dir, secretly("right")) // a process that goes on meanwhile
	wants(t, long, "me", "me")
	if err := long.Delete(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	p := &passphrases{all: []string{"other"}}
	if err := QuickFile(dir, p.ask).Save(t.Context(), "me", sized("n", 10)); err != nil || p.confirms != 1 {
		t.Errorf("Save: asked %d times, %d of them twice, %v", p.asked, p.confirms, err)
	}
	wants(t, QuickFile(dir, secretly("other")), "me", "n")
	if err := long.Save(t.Context(), "you", sized("m", 10)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with the passphrase of before: %v", err)
	}
	wants(t, QuickFile(dir, secretly("other")), "me", "n")
}

func TestDecodeResting(t *testing.T) {
	t.Parallel()
	f := QuickFile(saved(t, "me"), secretly("right")).(*files)
	wants(t, f, "me", "me")
	now := time.Unix(1_800_000_000, 0)
	k := restingKey{now, now.Add(time.Hour), f.identity, bytes.Repeat([]byte("k"), 32), nil}
	k.mac = macOf(k.key, "right")
	got, ok := decodeResting(k.encode())
	if !ok || got.encode() != k.encode() || !got.isOf("right") || got.isOf("wrong") || got.isOf("") {
		t.Errorf("%v, %v", got, ok)
	}
	if s := k.encode(); strings.Contains(s, "right") {
		t.Errorf("it holds the passphrase: %s", s)
	}
}

// FuzzFile opens files that anybody may have written. Whatever they hold, they are the record, or damaged, or encrypted
// to another key; a damaged file is never taken for a wrong passphrase, which would have a person try for ever.
func FuzzFile(f *testing.F) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	s := &files{identity: identity}
	entry, err := one(sized("a", 100), false)
	if err != nil {
		f.Fatal(err)
	}
	record, err := s.encryptRecord(entry)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add(record[:len(record)-1])
	f.Add([]byte("age-encryption.org/v1\n-> X25519 "))
	k := restingKey{identity: identity, key: make([]byte, 32), mac: make([]byte, 32)}
	f.Add([]byte(k.encode()))
	f.Fuzz(func(t *testing.T, content []byte) {
		plain, err := s.decryptRecord(content, "me.age")
		switch {
		case err == nil && plain == entry:
		case errors.Is(err, ErrUnavailable), !errors.Is(err, ErrCorrupt) && !errors.Is(err, errNoIdentity):
			t.Errorf("%q: %q, %v", content, plain, err)
		}
		if k, ok := decodeResting(string(content)); ok && k.encode() != string(content) {
			t.Errorf("%q is not what was encoded", content)
		}
	})
}

// BenchmarkFileResting reads with a store that has read nothing yet, while the key rests with the system.
func BenchmarkFileResting(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "sessions")
	with := FileOptions{Passphrase: secretly("right"), Rest: time.Minute}
	if err := File(dir, with).Save(b.Context(), "me", sized("x", 8<<10)); err != nil {
		b.Fatal(err)
	}
	unasked := FileOptions{Passphrase: func(context.Context, bool) (string, error) {
		return "", errors.New("no key rests on this system")
	}}
	if _, err := File(dir, unasked).Load(b.Context(), "me"); err != nil {
		b.Skip(err) // Also with LOOPKEY_TEST_REAL: a container may have no keyring.
	}
	for b.Loop() {
		if _, err := File(dir, unasked).Load(b.Context(), "me"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFilePlain reads a file of the same size as it is: what reading a session can cost at least.
func BenchmarkFilePlain(b *testing.B) {
	path := filepath.Join(b.TempDir(), "me")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 8<<10), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := os.ReadFile(path); err != nil {
			b.Fatal(err)
		}
	}
}
