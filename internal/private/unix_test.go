//go:build unix

package private

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/part"
)

// Another user's link does not choose which folder is closed. The user's own link may lead anywhere.
func TestDirIsALink(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		uid     int
		refused bool
	}{"ours": {os.Geteuid(), false}, "another's": {12345, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := filepath.Join(t.TempDir(), "public")
			if err := os.Mkdir(target, 0o755); err != nil {
				t.Fatal(err)
			}
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			if err := os.Lchown(link, c.uid, -1); errors.Is(err, os.ErrPermission) {
				part.Missing(t, "only root can give a link away")
			} else if err != nil {
				t.Fatal(err)
			}
			err := Dir(link)
			info, statErr := os.Stat(target)
			if statErr != nil {
				t.Fatal(statErr)
			}
			want := os.FileMode(0o700)
			if c.refused {
				want = 0o755
			}
			if (err != nil) != c.refused || info.Mode().Perm() != want {
				t.Errorf("%v, and the folder has mode %v", err, info.Mode())
			}
			if err != nil && !errors.Is(err, ErrLinkOfAnother) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Temporary files that a killed process left are removed when the same file is written again, and no other file is.
func TestReplaceSweeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "file")
	hourAgo := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		age  time.Time
		mode os.FileMode
		kept bool
	}{
		"file.123.tmp":     {hourAgo, 0o600, false},
		"file.1234567.tmp": {hourAgo, 0o600, false},
		"file.8.tmp":       {time.Now().Add(time.Hour), 0o600, false}, // the clock was wrong
		"file.5.tmp":       {time.Now(), 0o600, true},                 // perhaps another process's, not yet renamed
		"file.2.123.tmp":   {hourAgo, 0o600, true},                    // of the file file.2
		"file.me.tmp":      {hourAgo, 0o600, true},
		"other.123.tmp":    {hourAgo, 0o600, true},
		"123.tmp":          {hourAgo, 0o600, true},
		"file.7.tmp":       {hourAgo, 0o644, true},
	} {
		path := filepath.Join(dir, name)
		lay := func() {
			t.Helper()
			if err := errors.Join(os.WriteFile(path, nil, c.mode), os.Chtimes(path, c.age, c.age)); err != nil {
				t.Fatal(err)
			}
		}
		for _, mode := range []os.FileMode{0o777 | os.ModeSticky, 0o700} {
			shared := mode != 0o700
			lay()
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			if err := Replace(target, []byte("content")); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(path); (err == nil) != (c.kept || shared) {
				t.Errorf("%s in a folder of mode %v: %v", name, mode, err)
			}
		}
	}
	if content, err := os.ReadFile(target); err != nil || string(content) != "content" {
		t.Errorf("%q, %v", content, err)
	}
}

// A folder in which others can rename does not keep its files.
func TestKeeps(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := func(mode os.FileMode, uid int) string {
		dir := filepath.Join(t.TempDir(), "folder")
		err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode))
		if err == nil && os.Lchown(dir, uid, -1) != nil {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	me := os.Geteuid()
	for _, c := range []struct {
		name, path string
		keeps      bool
	}{
		{"ours", folder(0o700, me), true},
		{"readable", folder(0o755, me), true},
		{"sticky", folder(0o777|os.ModeSticky, me), true},
		{"writable", folder(0o777, me), false},
		{"a group's", folder(0o770, me), false},
		{"root's", folder(0o777|os.ModeSticky, 0), true},
		{"another's", folder(0o700, 12345), false},
		{"another's, sticky", folder(0o777|os.ModeSticky, 12345), false},
		{"a file", file, false},
		{"nothing", file + ".none", false},
	} {
		if c.path == "" {
			t.Logf("%s: only root can give a folder away", c.name)
			continue
		}
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(c.path, link); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{c.path, link} {
			if why := Keeps(path); (why == "") != c.keeps {
				t.Errorf("%s: %q", c.name, why)
			}
		}
	}
}
