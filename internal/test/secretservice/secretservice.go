// Package secretservice starts a private Secret Service for tests, a D-Bus session with gnome-keyring in it. It does
// not touch the keychain of the developer who runs the tests.
//
//	env := secretservice.Session(t) // the environment for a child process that uses it
//
// Where a program is missing the test is skipped and says so; with LOOPKEY_TEST_REAL=1 it fails.
package secretservice

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/loopkey/loopkey/internal/test/part"
	"github.com/loopkey/loopkey/internal/test/ready"
)

const limit = 5 * time.Minute // for each program to start

// A Keychain is a private D-Bus session, with or without a Secret Service.
type Keychain struct {
	Address string      // of the bus
	Dir     string      // HOME; the XDG directories are below it
	Bus     *os.Process // dbus-daemon
	Service *os.Process // gnome-keyring; nil for a bus alone
}

// Session starts an unlocked keychain, and returns the environment variables that a child process needs to use it. The
// keychain ends with the test.
func Session(t testing.TB) (env []string) { return Start(t).Env() }

// Start starts an unlocked keychain. Its password is empty.
func Start(t testing.TB) *Keychain {
	t.Helper()
	return start(t, "\n")
}

// StartEmpty starts a Secret Service without a collection, as in a new account.
func StartEmpty(t testing.TB) *Keychain {
	t.Helper()
	return start(t, "")
}

func start(t testing.TB, password string) *Keychain {
	t.Helper()
	Need(t, "dbus-daemon", "gnome-keyring-daemon")
	k := StartBus(t)
	args := []string{"--foreground", "--components=secrets"}
	if password != "" {
		args = append(args, "--unlock")
	}
	daemon := command(t, k.Env(), "gnome-keyring-daemon", args...)
	daemon.Stdin = strings.NewReader(password)
	run(t, daemon)
	k.Service = daemon.Process
	conn := k.Connect(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("gnome-keyring did not start in %v", limit))
	defer cancel()
	if err := ready.SecretService(ctx, conn); err != nil {
		t.Fatal(err)
	}
	return k
}

// StartBus starts a D-Bus session without any service, which starts none on demand either.
func StartBus(t testing.TB) *Keychain {
	t.Helper()
	Need(t, "dbus-daemon")
	dir, err := os.MkdirTemp("", "keychain") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	k := &Keychain{Dir: dir}
	for _, sub := range []string{"run", "data", "config", "cache"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=`+dir+`/run/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := command(t, k.Env(), "dbus-daemon", "--config-file="+config, "--nofork", "--print-address")
	// Not StdoutPipe: Wait would close that pipe while it may still be read.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	daemon.Stdout = w
	run(t, daemon)
	k.Bus = daemon.Process
	_ = w.Close()
	if err := r.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon did not start: %v", err)
	}
	k.Address = strings.TrimSpace(line)
	return k
}

// Env returns the environment variables with which a child process uses this keychain and no other.
func (k *Keychain) Env() []string {
	return []string{
		"DBUS_SESSION_BUS_ADDRESS=" + k.Address,
		"HOME=" + k.Dir,
		"XDG_RUNTIME_DIR=" + filepath.Join(k.Dir, "run"),
		"XDG_DATA_HOME=" + filepath.Join(k.Dir, "data"),
		"XDG_CONFIG_HOME=" + filepath.Join(k.Dir, "config"),
		"XDG_CACHE_HOME=" + filepath.Join(k.Dir, "cache"),
		"DISPLAY=", "WAYLAND_DISPLAY=", "GNOME_KEYRING_CONTROL=", "SSH_AUTH_SOCK=",
	}
}

// Connect returns a connection to the bus. It is closed when the test ends.
func (k *Keychain) Connect(t testing.TB) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect(k.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Lock locks the login collection. Unlocking it needs a prompt, which nobody answers unless the test starts a prompter.
func (k *Keychain) Lock(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	login := []dbus.ObjectPath{"/org/freedesktop/secrets/collection/login"}
	var locked []dbus.ObjectPath
	var prompt dbus.ObjectPath
	err := k.Connect(t).Object("org.freedesktop.secrets", "/org/freedesktop/secrets").
		CallWithContext(ctx, "org.freedesktop.Secret.Service.Lock", 0, login).Store(&locked, &prompt)
	if err != nil || !slices.Equal(locked, login) {
		t.Fatalf("lock the collection: %v, %v", locked, err)
	}
}

// Need skips the test where one of the programs is missing; with LOOPKEY_TEST_REAL=1 it fails the test.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		part.Missing(t, "%s is not installed", program)
	}
}

// command returns a child process that is not started yet.
func command(t testing.TB, env []string, name string, args ...string) *exec.Cmd {
	// t.Context ends before the cleanups run, which may still need the child process.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...) //nolint:gosec // the names are ours
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = limit
	return cmd
}

// run starts a child process, and ends it when the test ends.
func run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	stderr := &tail{}
	cmd.Stderr = stderr
	if cmd.Stdout == nil {
		cmd.Stdout = io.Discard
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // no other signal reaches a stopped process
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s wrote to stderr: %s", filepath.Base(cmd.Path), stderr.b)
		}
	})
}

// tail keeps the last 4096 bytes that are written to it.
type tail struct{ b []byte }

func (w *tail) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	w.b = w.b[max(0, len(w.b)-4096):]
	return len(p), nil
}
