//go:build unix

package faults

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
)

// runWith runs loopkey with more environment variables.
func runWith(h *house.House, env []string, args ...string) house.Result {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, args...)
	cmd.Env = append(cmd.Env, env...)
	return h.Finish(cmd)
}

// leftovers returns the folders that exec made in these places.
func leftovers(t *testing.T, places ...string) (all []string) {
	t.Helper()
	for _, place := range places {
		left, err := filepath.Glob(filepath.Join(place, "loopkey-exec-*"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, left...)
	}
	return all
}

// exec does not use a place where others can rename its folder.
func TestExecPlaces(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	folder := func(mode os.FileMode) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "place")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	link := func(target string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	theirs := folder(0o755)
	if err := os.Chown(theirs, 12345, 12345); err != nil {
		t.Logf("another's folder is not tried: %v", err)
		theirs = folder(0o777)
	}
	good, state := folder(0o700), filepath.Join(h.Dir, ".local/state/loopkey")
	sticky := folder(0o777 | os.ModeSticky)
	for name, c := range map[string]struct{ runtimeDir, tmp, want string }{
		"ours":                         {good, h.Dir, good},
		"a link to ours":               {link(good), h.Dir, good},
		"sticky":                       {sticky, h.Dir, sticky},
		"writable by all":              {folder(0o777), good, good},
		"writable by a group":          {folder(0o770), good, good},
		"another's":                    {theirs, good, good},
		"a link to what all can write": {link(folder(0o777)), good, good},
		"not there":                    {filepath.Join(good, "none"), good, good},
		"relative":                     {".", good, good},
		"none but the state folder":    {folder(0o777), folder(0o777), state},
		"none, and nothing is set":     {"", theirs, state},
	} {
		r := runWith(h, []string{"XDG_RUNTIME_DIR=" + c.runtimeDir, "TMPDIR=" + c.tmp}, "exec", "--", "sh", "-c",
			`cd "$(dirname "$ACCESS_TOKEN_FILE")/.." && pwd -P && test "$(cat "$ACCESS_TOKEN_FILE")" = "$ACCESS_TOKEN"`)
		want, err := filepath.EvalSymlinks(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if r.Code != 0 || strings.TrimSpace(r.Stdout) != want {
			t.Errorf("%s: exit %d, in %q, not %s: %s", name, r.Code, r.Stdout, c.want, r.Stderr)
		}
		if left := leftovers(t, c.runtimeDir, c.tmp, state); len(left) > 0 {
			t.Errorf("%s: left: %q", name, left)
		}
	}
	r := runWith(
		h, []string{"XDG_RUNTIME_DIR=" + theirs, "TMPDIR=" + folder(0o777), "XDG_STATE_HOME=/dev/null/none"}, "exec", "--",
		"true",
	)
	house.Refused(t, r, 1, "a place for the token file", "belongs to another user", "can be written in by others")
}

// Where another folder took the place of exec's own, no token is written into it.
func TestExecFolderIsReplaced(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	h.Tenant.SetAccessTokenLifetime(5 * time.Second)
	h.Must("token", "--force-refresh")
	r := h.Run("exec", "--min-ttl", "0", "--", "sh", "-c", `
		d=$(dirname "$ACCESS_TOKEN_FILE") && mv "$d" "$d.away" && mkdir -m 777 "$d" || exit 1
		i=0; while [ "$(cat "$d.away/token")" = "$ACCESS_TOKEN" ]; do i=$((i+1)); [ $i -lt 300 ] || exit 2; sleep 0.1; done
		ls -A "$d"; exec true`)
	if r.Code != 0 || r.Stdout != "" {
		t.Errorf("exit %d, and the other folder holds %q: %s", r.Code, r.Stdout, r.Stderr)
	}
	for _, left := range leftovers(t, h.Dir) {
		if _, err := os.Lstat(filepath.Join(left, "token")); err == nil {
			t.Errorf("%s holds a token still", left)
		}
	}
}

// The next exec removes what a killed exec left, and not what a running exec uses.
func TestExecKilled(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	runtimeDir := filepath.Join(h.Dir, "run")
	if err := os.Mkdir(runtimeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cmd := h.Command(t.Context(), "exec", "--", "sh", "-c", `echo ready >&2; exec sleep 60`)
		cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+runtimeDir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		house.Watch(t, cmd).Line(t, "ready")
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	if left := leftovers(t, runtimeDir); len(left) != 1 { // each had removed the one before
		t.Errorf("three that were killed left %q", left)
	}
	another := filepath.Join(runtimeDir, "loopkey-exec-mine")
	if err := os.Mkdir(another, 0o755); err != nil {
		t.Fatal(err)
	}
	r := runWith(h, []string{"XDG_RUNTIME_DIR=" + runtimeDir}, "exec", "--", "sh", "-c", `
		"$0" exec -- true; test "$(cat "$ACCESS_TOKEN_FILE")" = "$ACCESS_TOKEN"`, loopkey(t, h))
	if r.Code != 0 {
		t.Errorf("one within another exits %d: %s", r.Code, r.Stderr)
	}
	if left := leftovers(t, runtimeDir); len(left) != 1 || left[0] != another {
		t.Errorf("left: %q", left)
	}
}

// loopkey returns a path at which a command can start loopkey.
func loopkey(t *testing.T, h *house.House) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loopkey")
	if err := os.Symlink(h.Command(t.Context()).Path, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Many execs at once remove what killed ones left, and none removes what another uses.
func TestExecBesideExec(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	var running sync.WaitGroup
	for i := range 40 {
		running.Go(func() {
			r := h.Run("exec", "--", "sh", "-c", `test "$(cat "$ACCESS_TOKEN_FILE")" = "$ACCESS_TOKEN"`)
			if r.Code != 0 {
				t.Errorf("exec %d exits %d: %s", i, r.Code, r.Stderr)
			}
		})
	}
	running.Wait()
	if left := leftovers(t, h.Dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A closed terminal ends a waiting command as Ctrl-C does, and nothing is left behind.
func TestTerminalIsClosed(t *testing.T) {
	t.Parallel()
	hearHangups()
	for _, c := range []struct {
		name, keystore, line, args string
		code                       int
	}{
		{"login", "file", "http", "login --no-browser", 130},
		{"login, in memory", "", "http", "login --no-browser", 130},
		{"a device", "", "and enter", "login --device", 130},
		{"serve", "", "http", "serve --no-browser", 0}, // Ctrl-C is how it ends
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var env []string
			if c.keystore != "" {
				env = []string{"LOOPKEY_KEYSTORE=" + c.keystore, "LOOPKEY_PASSPHRASE=correct horse battery staple"}
			}
			h := house.WithTenant(t, env...)
			cmd := h.Command(t.Context(), strings.Fields(c.args)...)
			running := house.Watch(t, cmd)
			running.Line(t, c.line)
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Process.Signal(syscall.SIGHUP) // from the shell, and from the system
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("ended with %v", cmd.ProcessState)
			}
			for _, path := range tree(t, h.Dir) {
				if strings.HasSuffix(path, ".new") || strings.HasSuffix(path, ".sock") {
					t.Errorf("left: %s", path)
				}
			}
		})
	}
}

// hearHangups lets the processes of a test hear a SIGHUP also where the tests run under nohup.
func hearHangups() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) }

// exec's command gets the SIGHUP of a closed terminal too, unless nohup or the like made it ignore the signal.
func TestExecHangsUp(t *testing.T) {
	t.Parallel()
	hearHangups()
	h := house.WithTenant(t)
	h.Must("login")
	for _, c := range []struct {
		first, want string // first runs in the shell that starts exec
		code, waits int    // the command waits for so many tenths of a second
	}{
		{first: "true", want: "hung up", code: 7, waits: 300},
		{first: `trap "" HUP`, want: "still here", code: 0, waits: 10},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		r := h.Finish(house.InShell(h.Command(ctx, "exec", "--", "sh", "-c", fmt.Sprintf(`
			trap 'echo hung up; exit 7' HUP
			kill -HUP $PPID
			i=0; while [ $i -lt %d ]; do i=$((i+1)); sleep 0.1; done
			echo still here`, c.waits)), c.first))
		cancel()
		if strings.TrimSpace(r.Stdout) != c.want || r.Code != c.code {
			t.Errorf("after %s: exit %d: %q %s", c.first, r.Code, r.Stdout, r.Stderr)
		}
	}
}
