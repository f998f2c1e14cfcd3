//go:build unix

package faults

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// under runs loopkey under a umask.
func under(h *house.House, umask string, args ...string) house.Result {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return h.Finish(house.InShell(h.Command(ctx, args...), "umask "+umask))
}

// No other user can read or write a file of loopkey's, under any umask.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, umask := range []string{"0", "077"} {
		t.Run(umask, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t, "LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE=correct horse battery staple")
			for _, args := range [][]string{{"login"}, {"token", "--force-refresh"}, {"status"}} {
				if r := under(h, umask, args...); r.Code != 0 {
					t.Fatalf("%v exits %d: %s", args, r.Code, r.Stderr)
				}
			}
			// The server's socket and exec's token file. The browser's file lies elsewhere: see TestBrowserFile.
			serving := h.StartCommand(
				func(ctx context.Context) *exec.Cmd { return house.InShell(h.Command(ctx, "serve"), "umask "+umask) },
			)
			serving.Line(t, h.Base+"/auth/enter?")
			if r := under(h, umask, "serve"); r.Code != 0 || !strings.Contains(r.Stderr, "is running already") {
				t.Errorf("a second serve exits %d: %s", r.Code, r.Stderr)
			}
			r := under(h, umask, "exec", "--", "sh", "-c", `ls -ld "$ACCESS_TOKEN_FILE" "$(dirname "$ACCESS_TOKEN_FILE")"`)
			if r.Code != 0 || !strings.HasPrefix(r.Stdout, "drwx------") || !strings.Contains(r.Stdout, "\n-rw-------") {
				t.Errorf("exec exits %d: %s%s", r.Code, r.Stdout, r.Stderr)
			}
			seen := map[string]bool{}
			for _, folder := range []string{".local", ".cache"} {
				err := filepath.WalkDir(filepath.Join(h.Dir, folder), func(path string, d fs.DirEntry, err error) error {
					if err != nil {
						return err
					}
					info, err := d.Info()
					if err != nil {
						return err
					}
					if info.Mode().Perm()&0o077 != 0 {
						t.Errorf("%s has mode %v", path, info.Mode())
					}
					seen[filepath.Ext(path)] = true
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
			for _, extension := range []string{".lock", ".json", ".age", ".sock"} {
				if !seen[extension] {
					t.Errorf("no file ends in %s: what is looked at is not all", extension)
				}
			}
		})
	}
}

// Where a link is in the place of one of our files, loopkey does not change what it leads to. Where a pipe is, loopkey
// does not wait for its other end.
func TestStrangeFiles(t *testing.T) {
	t.Parallel()
	strange := map[string]func(path, victim string) error{
		"a link":             func(path, victim string) error { return os.Symlink(victim, path) },
		"a link to nothing":  func(path, victim string) error { return os.Symlink(victim+".none", path) },
		"a pipe":             func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":           func(path, _ string) error { return os.Mkdir(path, 0o700) },
		"a link to a device": func(path, _ string) error { return os.Symlink("/dev/zero", path) },
	}
	for name, put := range house.Some(strange) {
		for _, keystore := range []string{"socket", "file"} {
			t.Run(name+"/"+keystore, func(t *testing.T) {
				t.Parallel()
				var env []string
				if keystore == "file" {
					env = []string{"LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE=correct horse battery staple"}
				}
				h := house.WithTenant(t, env...)
				victim := filepath.Join(t.TempDir(), "victim")
				if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
					t.Fatal(err)
				}
				h.Must("login")
				h.Must("token", "--force-refresh")
				replaced := 0
				for _, folder := range []string{".local/state/loopkey", ".cache/loopkey"} {
					err := filepath.WalkDir(filepath.Join(h.Dir, folder), func(path string, d fs.DirEntry, err error) error {
						if err != nil || d.IsDir() {
							return err
						}
						replaced++
						if err := os.Remove(path); err != nil {
							return err
						}
						return put(path, victim)
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				state := filepath.Join(h.Dir, ".local/state/loopkey")
				for _, more := range []string{"open.html", "serve-" + h.Base[strings.LastIndex(h.Base, ":")+1:] + ".sock"} {
					if err := put(filepath.Join(state, more), victim); err != nil {
						t.Fatal(err)
					}
				}
				if replaced < 4 {
					t.Fatalf("only %d files were replaced", replaced)
				}
				for command, wants := range map[string]int{ // with a keystore that is not a file
					"status": 0, "token": 0, "exec -- true": 0, "token --force-refresh": 1, "login": 1, "logout": 1, "logout --all": 1,
				} {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
					r := h.Finish(h.Command(ctx, strings.Fields(command)...))
					if ctx.Err() != nil {
						t.Errorf("%s hangs: %s", command, r.Stderr)
					}
					cancel()
					switch {
					case name == "a pipe": // it can be locked like a file, so that a logout deletes it and a login replaces it
					case keystore == "socket" && r.Code != wants, keystore == "file" && r.Code != 5 && r.Code != 1:
						t.Errorf("%s exits %d: %s", command, r.Code, r.Stderr)
					case r.Code != 0 && !strings.Contains(r.Stderr, "move") && !strings.Contains(r.Stderr, "run loopkey login for"):
						t.Errorf("%s does not say what to do: %s", command, r.Stderr)
					}
				}
				if keystore == "socket" {
					h.Serve()
				}
				info, err := os.Stat(victim)
				content, readErr := os.ReadFile(victim)
				if err != nil || readErr != nil || info.Mode().Perm() != 0o644 || string(content) != "precious" {
					t.Errorf("the victim is %q, %v, %v, %v", content, info, err, readErr)
				}
				if _, err := os.Lstat(victim + ".none"); err == nil {
					t.Error("a file was made where the link leads")
				}
			})
		}
	}
}

// A new login replaces whatever is in the place of the session's file. Until then every command says what is there, and
// none waits for it or reads it without an end.
func TestLoginReplacesAnything(t *testing.T) {
	t.Parallel()
	for name, put := range house.Some(map[string]func(path string) error{
		"a pipe":                    func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":                  func(path string) error { return os.Mkdir(path, 0o700) },
		"a folder that holds files": func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		"a link to nothing":         func(path string) error { return os.Symlink(path+".none", path) },
		"a link to a device":        func(path string) error { return os.Symlink("/dev/zero", path) },
		"a file of a terabyte":      func(path string) error { return sparse(path, 1<<40) },
		"a file of 64 MiB":          func(path string) error { return sparse(path, 64<<20) },
		"an empty file":             func(path string) error { return sparse(path, 0) },
		"a file that others write":  func(path string) error { return errors.Join(sparse(path, 9), os.Chmod(path, 0o666)) },
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t, "LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE=correct horse battery staple")
			h.Must("login")
			files, err := filepath.Glob(filepath.Join(h.Dir, ".local/state/loopkey/sessions/*.age"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%q, %v", files, err)
			}
			if err := errors.Join(os.Remove(files[0]), put(files[0])); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"token", "status", "token --force-refresh"} {
				r := h.Run(strings.Fields(command)...)
				if r.Code != 1 && r.Code != 5 || r.Stdout != "" || strings.Contains(r.Stderr, "goroutine") {
					t.Errorf("%s exits %d: %.300s", command, r.Code, r.Stderr)
				}
			}
			h.Must("login")
			h.Must("token", "--force-refresh")
			h.Must("logout", "--no-browser")
		})
	}
}

func sparse(path string, size int64) error {
	return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size))
}

// A state folder that others can write in may hold files of theirs, so it is refused. A folder that they can only read
// is made private.
func TestFoldersOfOthers(t *testing.T) {
	t.Parallel()
	commands := []string{"token --force-refresh", "login", "logout", "serve --no-browser"}
	for name, c := range house.Some(map[string]struct {
		change func(path string) error
		words  string // "": it works
	}{
		"writable by all":     {func(path string) error { return os.Chmod(path, 0o777) }, "chmod 700"},
		"writable by a group": {func(path string) error { return os.Chmod(path, 0o770) }, "chmod 700"},
		"readable by all":     {func(path string) error { return os.Chmod(path, 0o755) }, ""},
		"another user's":      {func(path string) error { return os.Chown(path, 12345, 12345) }, "another"}, // needs root
		"a link to our folder": {
			func(path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) }, "",
		},
		"a link to another's": {func(path string) error {
			return errors.Join(os.Rename(path, path+"2"), os.Chmod(path+"2", 0o777), os.Symlink(path+"2", path))
		}, "chmod 700"},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t)
			h.Must("login")
			state := filepath.Join(h.Dir, ".local/state/loopkey")
			if err := c.change(state); errors.Is(err, os.ErrPermission) {
				part.Missing(t, "only root can give a folder away")
			} else if err != nil {
				t.Fatal(err)
			}
			h.Tenant.Reset()
			if c.words == "" {
				h.Must("token", "--force-refresh")
				if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o700 {
					t.Errorf("got %v, %v", info.Mode(), err)
				}
				return
			}
			for _, command := range commands {
				house.Refused(t, h.Run(strings.Fields(command)...), 1, state, c.words)
			}
			if got := h.Tenant.Requests("token") + h.Tenant.Requests("revoke"); got != 0 {
				t.Errorf("%d requests", got)
			}
			h.Must("token") // does not need that folder
		})
	}
}

// A profile's name becomes part of a file name, so only plain names are accepted.
func TestProfileNames(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	before := tree(t, h.Dir)
	for _, name := range house.Few([]string{
		"../x", "..", ".", "a/b", `a\b`, "/etc/passwd", "a\nb", "a\x1b[2Jb", " ", "a b", "-x", "~", "$HOME", "%s", "*", "a:b",
		"|id", "\xff", "ａ", "\u202ex", strings.Repeat("a", 65), strings.Repeat("a", 300), "NUL", "con.work", "lpt1",
	}) {
		for _, command := range []string{"token", "login", "status", "logout", "serve --no-browser"} {
			r := h.Run(append(strings.Fields(command), "--profile="+name)...)
			if r.Code != 2 || r.Stdout != "" || strings.ContainsAny(r.Stderr, "\x1b\u202e") {
				t.Errorf("%s as %q exits %d: %s", command, name, r.Code, r.Stderr)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		cmd := h.Command(ctx, "status")
		cmd.Env = append(cmd.Env, "LOOPKEY_PROFILE="+name)
		if r := h.Finish(cmd); r.Code != 2 {
			t.Errorf("LOOPKEY_PROFILE=%q: exit %d: %s", name, r.Code, r.Stderr)
		}
		cancel()
	}
	if after := tree(t, h.Dir); !slices.Equal(before, after) {
		t.Errorf("files came or went: %q, %q", before, after)
	}
	h.Must("token")
}

func tree(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// A socket's path must be short, and a user's folders may be long.
func TestLongPaths(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Env = append(h.Env, "XDG_STATE_HOME="+filepath.Join(h.Dir, strings.Repeat("long/", 40)))
	h.Must("login")
	h.Serve()
	for _, args := range [][]string{{"serve", "--no-browser"}, {"login"}} {
		if r := h.Run(args...); r.Code != 0 || strings.Contains(r.Stderr, "can't reach") {
			t.Errorf("%v exits %d: %s", args, r.Code, r.Stderr)
		}
	}
}
