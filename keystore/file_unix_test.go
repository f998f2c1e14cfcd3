//go:build unix

package keystore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestFileModes(t *testing.T) {
	t.Parallel()
	dir := saved(t, "me")
	for path, want := range map[string]os.FileMode{
		dir: 0o700, filepath.Dir(dir): 0o700, filepath.Join(dir, "me.age"): 0o600,
	} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestFileRefuses(t *testing.T) {
	t.Parallel()
	file := func(dir string) string { return filepath.Join(dir, "me.age") }
	cases := map[string]struct {
		spoil func(dir string) error
		says  string
		saves bool // Save replaces it
	}{
		"a link in place of the file": {func(dir string) error {
			return errors.Join(os.Rename(file(dir), file(dir)+".x"), os.Symlink(file(dir)+".x", file(dir)))
		}, "symbolic link", true},
		"a link in place of the directory": {func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".x"), os.Symlink(dir+".x", dir))
		}, "symbolic link", false},
		"a file that others read":       {func(dir string) error { return os.Chmod(file(dir), 0o644) }, "mode 0644", true},
		"a file that the group writes":  {func(dir string) error { return os.Chmod(file(dir), 0o620) }, "mode 0620", true},
		"a directory that others enter": {func(dir string) error { return os.Chmod(dir, 0o711) }, "mode 0711", false},
		"another's file": {func(dir string) error {
			if os.Geteuid() != 0 {
				return errors.ErrUnsupported
			}
			return os.Lchown(file(dir), 65534, 65534)
		}, "another user", true},
		"another's directory": {func(dir string) error {
			if os.Geteuid() != 0 {
				return errors.ErrUnsupported
			}
			return os.Lchown(dir, 65534, 65534)
		}, "another user", false},
		"a pipe": {func(dir string) error {
			return errors.Join(os.Remove(file(dir)), syscall.Mkfifo(file(dir), 0o600))
		}, "no regular file", true},
		"a directory in place of the file": {func(dir string) error {
			return errors.Join(os.Remove(file(dir)), os.Mkdir(file(dir), 0o700))
		}, "no regular file", true},
		"a directory that is not empty": {func(dir string) error {
			return errors.Join(os.Remove(file(dir)), os.MkdirAll(filepath.Join(file(dir), "x"), 0o700))
		}, "no regular file", true},
		"a file without an end": {func(dir string) error {
			return os.Truncate(file(dir), 1<<42)
		}, "too large", true},
		"a file that nobody may read": {func(dir string) error {
			if os.Geteuid() == 0 {
				return errors.ErrUnsupported
			}
			return os.Chmod(file(dir), 0)
		}, "can't be read", true},
		"a file in place of the directory": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		}, "no directory", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := saved(t, "me")
			if err := c.spoil(dir); errors.Is(err, errors.ErrUnsupported) {
				t.Skip("root may read everything") // Also with LOOPKEY_TEST_REAL: CI is root; as another user it runs.
			} else if err != nil {
				t.Fatal(err)
			}
			s := QuickFile(dir, secretly("right"))
			_, err := s.Load(t.Context(), "me")
			if c.saves != errors.Is(err, ErrCorrupt) || !c.saves && !errors.Is(err, ErrUnavailable) ||
				!strings.Contains(err.Error(), c.says) {
				t.Errorf("Load: %v", err)
			}
			release, err := s.(Reserver).Reserve(t.Context(), "me")
			if !c.saves {
				if !errors.Is(err, ErrUnavailable) {
					t.Errorf("Reserve: %v", err)
				}
				if err := s.Save(t.Context(), "me", sized("a", 10)); !errors.Is(err, ErrUnavailable) {
					t.Errorf("Save: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Reserve: %v", err)
			}
			defer release()
			if err := s.Save(t.Context(), "me", sized("a", 10)); err != nil {
				t.Fatalf("Save: %v", err)
			}
			info, err := os.Lstat(file(dir))
			if r, loadErr := s.Load(t.Context(), "me"); err != nil || loadErr != nil || info.Mode() != 0o600 ||
				string(r.Head) != string(sized("a", 0).Head) {
				t.Errorf("it was not replaced: %v, %v, %v", info.Mode(), err, loadErr)
			}
		})
	}
}

// A link in the temporary file's place is replaced, not followed.
func TestFileTemporaryIsNotFollowed(t *testing.T) {
	t.Parallel()
	dir := saved(t, "me")
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, temporary("me"))); err != nil {
		t.Fatal(err)
	}
	if err := QuickFile(dir, secretly("right")).Save(t.Context(), "me", sized("a", 10)); err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(victim); err != nil || string(kept) != "mine" {
		t.Errorf("the victim holds %q, %v", kept, err)
	}
}

// A write that fails leaves the old session.
func TestFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, dir string) error{
		"a read-only directory": func(t *testing.T, dir string) error {
			if os.Geteuid() == 0 {
				return errors.ErrUnsupported
			}
			t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
			return os.Chmod(dir, 0o500)
		},
		"something in the way": func(_ *testing.T, dir string) error {
			return os.MkdirAll(filepath.Join(dir, temporary("me"), "x"), 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := saved(t, "me")
			if err := spoil(t, dir); errors.Is(err, errors.ErrUnsupported) {
				t.Skip("root may write everywhere") // Also with LOOPKEY_TEST_REAL: CI is root; as another user it runs.
			} else if err != nil {
				t.Fatal(err)
			}
			s := QuickFile(dir, secretly("right"))
			err := s.Save(t.Context(), "me", sized("a", 10))
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "can't be written") {
				t.Errorf("Save: %v", err)
			}
			if r, err := s.Load(t.Context(), "me"); err != nil || string(r.Head) != string(sized("me", 0).Head) {
				t.Errorf("Load: %q, %v", r.Head, err)
			}
		})
	}
}
