//go:build unix

package hostile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// The user IDs of a village.
const (
	root       = 0
	person     = 1001
	neighbour  = 65534
	passphrase = "passphrase-of-the-village"
)

// A village is a house whose loopkey runs as one user of a machine that has another.
type village struct {
	*house.House
	t   *testing.T
	dir string // where both users can run the test binary, by each of its names
}

func newVillage(t *testing.T, issuer string) *village {
	t.Helper()
	if os.Geteuid() != root {
		part.Missing(t, "only root can run a program as another user")
	}
	dir, err := os.MkdirTemp("/tmp", "lk") //nolint:usetesting // t.TempDir's is for one user alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	v := &village{t: t, dir: dir}
	home := filepath.Join(v.dir, "home")
	v.House = house.New(t, issuer, "HOME="+home, "TMPDIR="+home, "LOOPKEY_CONFIG="+filepath.Join(home, "config.toml"),
		"LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE="+passphrase, "BROWSER="+filepath.Join(v.dir, "visit"))
	v.Dir = home
	self, err := os.Executable()
	for _, err := range []error{
		err, os.Mkdir(home, 0o700), os.Chown(home, person, person), os.Chmod(v.dir, 0o755),
		copyProgram(self, filepath.Join(v.dir, "loopkey")), os.Chmod(filepath.Join(v.dir, "loopkey"), 0o755),
		os.Symlink("loopkey", filepath.Join(v.dir, "visit")), os.Symlink("loopkey", filepath.Join(v.dir, "send")),
		os.Symlink("loopkey", filepath.Join(v.dir, "app")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	v.Configure(issuer)
	if err := os.Chown(filepath.Join(home, "config.toml"), person, person); err != nil {
		t.Fatal(err)
	}
	return v
}

// copyProgram makes a hard link where that works, because a binary with the race detector is large.
func copyProgram(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	return errors.Join(err, os.WriteFile(to, content, 0o755))
}

// as returns a run of one of the test binary's programs as a user.
func (v *village) as(ctx context.Context, user uint32, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(v.dir, program), args...)
	cmd.Env, cmd.Dir = v.Env, v.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	return cmd
}

func (v *village) run(args ...string) house.Result {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return v.Finish(v.as(ctx, person, "loopkey", args...))
}

// A config.toml that another user wrote, or can write, is not read. One of root's is.
func TestProfilesOfOthers(t *testing.T) {
	t.Parallel()
	v := newVillage(t, "https://issuer.invalid")
	path := filepath.Join(v.Dir, "config.toml")
	for _, c := range []struct {
		owner, code int
		mode        os.FileMode
		words       string
	}{
		{person, 3, 0o644, "loopkey login"},
		{root, 3, 0o644, "loopkey login"},
		{neighbour, 2, 0o644, "belongs to another user"},
		{person, 2, 0o666, "run chmod 600"},
		{root, 2, 0o646, "run chmod 600"},
	} {
		if err := os.Chown(path, c.owner, c.owner); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"token", "status", "exec -- true"} {
			house.Refused(t, v.run(strings.Fields(command)...), c.code, c.words)
		}
	}
}

// Under sudo, with the HOME of the user, nothing in that home becomes root's.
func TestRootInTheUsersHome(t *testing.T) {
	t.Parallel()
	p := Start(t)
	v := newVillage(t, p.Issuer())
	asRoot := func(args ...string) house.Result {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		return v.Finish(v.as(ctx, root, "loopkey", args...))
	}
	house.Refused(t, asRoot("login", "--keystore", "file"), 1, "belongs to another user", "without sudo")
	for _, args := range []string{"config set audience https://api.example.com/", "switch default"} {
		house.Refused(t, asRoot(strings.Fields(args)...), 1, "belongs to another user", "without sudo")
	}
	asRoot("token")
	asRoot("status")
	asRoot("logout", "--no-browser")
	if r := v.run("login", "--keystore", "file"); r.Code != 0 { // the user's own login is not in the way of root's
		t.Fatalf("exit %d: %s", r.Code, r.Stderr)
	}
	for _, args := range [][]string{{"token"}, {"token", "--force-refresh"}, {"login"}, {"logout", "--no-browser"}} {
		asRoot(args...)
	}
	if r := v.run("token"); r.Code != 0 {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	err := filepath.WalkDir(v.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != person {
			t.Errorf("%s is root's", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
