//go:build unix

package hostile

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/house"
)

const personUID, strangerUID = 12345, 12346

// A user is a person of this machine other than who runs the tests, with a home and loopkey.
type user struct {
	home, program string
	house         *house.House // for its environment
}

func newUser(t *testing.T, h *house.House) *user {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	dir := house.ShortDir(t) // unlike t.TempDir's it can be opened to others
	u := &user{home: filepath.Join(dir, "home"), program: filepath.Join(dir, "loopkey"), house: h}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(u.program, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	for _, err := range []error{err, to.Close(), os.Chmod(dir, 0o755), os.Mkdir(u.home, 0o700), os.Chown(u.home, personUID, personUID)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return u
}

func (u *user) run(env []string, args ...string) house.Result {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, u.program)
	cmd.Args = append([]string{"loopkey"}, args...)
	cmd.Dir = u.home
	cmd.Env = slices.Concat(u.house.Env, []string{"HOME=" + u.home, "TMPDIR=" + u.home, "LOOPKEY_CONFIG="}, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: personUID, Gid: personUID}}
	return u.house.Finish(cmd)
}

// Profiles that somebody else wrote, or can write, are not read; root's are.
func TestProfilesOfOthers(t *testing.T) {
	t.Parallel()
	h := house.New(t, "https://issuer.invalid")
	u := newUser(t, h)
	path := filepath.Join(u.home, "config.toml")
	content := fmt.Sprintf("[profile.default]\nissuer = 'https://issuer.invalid'\nclient_id = 'x'\nkeystore = 'file'\nbase_url = %q\n", h.Base)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		owner, code int
		mode        os.FileMode
		words       string
	}{
		{personUID, 3, 0o644, "loopkey login"},
		{0, 3, 0o644, "loopkey login"},
		{strangerUID, 2, 0o644, "belongs to another user"},
		{personUID, 2, 0o666, "run chmod 600"},
		{0, 2, 0o646, "run chmod 600"},
	} {
		if err := os.Chown(path, c.owner, c.owner); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"token", "status", "exec -- true"} {
			refused(t, u.run([]string{"LOOPKEY_CONFIG=" + path}, strings.Fields(command)...), c.code, c.words)
		}
	}
}
