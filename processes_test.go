package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/keystore/keychaintest"
	"github.com/loopkey/loopkey/loopback"
)

// A house is a home folder of its own with loopkey in it: many processes, one session.
type house struct {
	t      testing.TB
	tenant *tenant.Tenant
	base   string // the local server's URL
	env    []string
}

// newHouse starts a tenant whose refresh tokens rotate, and a keystore in memory that processes share.
func newHouse(t testing.TB, extra ...string) *house {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	base := "http://localhost:" + strconv.Itoa(port)
	started, err := tenant.Start(t.Context(), tenant.Config{
		Rotate: true,
		Clients: []tenant.Client{{
			ID: client, RedirectURIs: []string{base + "/auth/callback"}, PostLogoutRedirectURIs: []string{base},
		}},
		Users: []tenant.User{{Subject: "ada", Email: email, Name: "Ada Lovelace", Password: password}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	home := t.TempDir()
	socket := filepath.Join(shortDir(t), "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = keystore.Serve(ctx, listener, keystore.Memory())
	}()
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		<-served
	})
	config := filepath.Join(home, "config.toml")
	content := fmt.Sprintf("[profile.default]\nissuer = %q\nclient_id = %q\nbase_url = %q\nkeystore = %q\n",
		started.Issuer(), client, base, "socket:"+socket)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "USERPROFILE=" + home, "TMPDIR=" + home, "LOOPKEY_CONFIG=" + config,
		"BROWSER=" + visitor(t), "SystemRoot=" + os.Getenv("SystemRoot"),
	}, extra...)
	return &house{t: t, tenant: started, base: base, env: env}
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// visitor is a program that plays the person: this test, under the name by which TestMain knows it.
func visitor(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "visit")
	if err := os.Symlink(self, link); err != nil {
		t.Skipf("no links on this system: %v", err)
	}
	return link
}

// command is a run of loopkey.
func (h *house) command(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = append([]string{"loopkey"}, args...)
	cmd.Env = h.env
	cmd.Dir = os.TempDir()
	return cmd
}

// run returns what a run printed and how it ended.
func (h *house) run(args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := h.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		h.t.Errorf("loopkey %v: %v", args, err)
	}
	return out.String(), errs.String(), 0
}

func (h *house) must(args ...string) string {
	h.t.Helper()
	out, errs, code := h.run(args...)
	if code != 0 {
		h.t.Fatalf("loopkey %v exits %d: %s", args, code, errs)
	}
	return out
}

// expire leaves the session with an access token that is over.
func (h *house) expire() {
	h.t.Helper()
	h.tenant.SetAccessTokenLifetime(time.Second)
	h.must("token", "--force-refresh")
	h.tenant.SetAccessTokenLifetime(time.Hour)
	h.tenant.Reset()
}

func TestHundredTools(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.must("login")
	h.expire()
	const tools = 100
	answers := make([]string, tools)
	var running sync.WaitGroup
	for i := range tools {
		running.Go(func() {
			out, errs, code := h.run("token")
			if code != 0 || errs != "" {
				t.Errorf("tool %d: exit %d: %s", i, code, errs)
			}
			answers[i] = out
		})
	}
	running.Wait()
	for i, answer := range answers {
		if answer == "" || answer != answers[0] {
			t.Errorf("tool %d got another answer than the first", i)
		}
	}
	if got := h.tenant.Requests("token"); got != 1 {
		t.Errorf("%d refresh requests, not 1", got)
	}
	if got := h.tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families were revoked", got)
	}
}

// A renewal that is killed at any instant leaves a session that works, or, where the
// tenant has already taken the old refresh token back, a clear exit 3.
func TestKilledRenewals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.must("login")
	lost := 0
	for range 40 {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := h.command(ctx, "token", "--force-refresh")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(rand.IntN(40_000))*time.Microsecond, cancel)
		_ = cmd.Wait()
		timer.Stop()
		cancel()

		out, errs, code := h.run("token", "--force-refresh")
		switch code {
		case 0:
			if strings.TrimSpace(out) == "" {
				t.Error("exit 0 without a token")
			}
		case 3:
			if !strings.Contains(errs, "run loopkey login") {
				t.Errorf("exit 3 without a way out: %s", errs)
			}
			lost++
			h.must("login")
		default:
			t.Fatalf("exit %d: %s", code, errs)
		}
		h.must("status")
	}
	t.Logf("%d of 40 sessions had to log in again", lost)
}

// Ctrl-C ends a login that waits, with its own exit code, and frees the port.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, command := range [][]string{{"login", "--no-browser"}, {"serve", "--no-browser"}} {
		waiting := h.start(command...)
		prefix := h.tenant.Issuer()
		if command[0] == "serve" {
			prefix = h.base
		}
		waiting.line(t, prefix)
		if err := waiting.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Skipf("no such signal here: %v", err)
		}
		rest, err := io.ReadAll(waiting.lines)
		if err != nil {
			t.Fatal(err)
		}
		_ = waiting.cmd.Wait()
		if code := waiting.cmd.ProcessState.ExitCode(); code != 130 || !strings.Contains(string(rest), "interrupted") {
			t.Errorf("%s exits %d: %s", command[0], code, rest)
		}
		listener, err := loopback.Listen(t.Context(), h.base)
		if err != nil {
			t.Fatalf("%s: the port is not free: %v", command[0], err)
		}
		_ = listener.Close()
	}
}

// The main job on the real Secret Service.
func TestRealKeychain(t *testing.T) {
	t.Parallel()
	keychain := keychaintest.Start(t)
	h := newHouse(t, append(keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	h.must("login")
	token := h.must("token")
	if again := h.must("token"); again != token {
		t.Error("the cached token changed")
	}
	if fresh := h.must("token", "--force-refresh"); fresh == token {
		t.Error("the token was not renewed")
	}
	h.must("login", "-p", "work", "--issuer", h.tenant.Issuer(), "--client-id", client, "--base-url", h.base)
	h.must("logout")
	if _, _, code := h.run("token"); code != 3 {
		t.Errorf("after the logout token exits %d", code)
	}
	h.must("logout", "--all")

	keychain.Lock(t)
	for _, command := range []string{"token", "status", "login"} {
		out, errs, code := h.run(command)
		if code != 5 || out != "" || !strings.Contains(errs, "lock") || !strings.Contains(errs, "--keystore file") {
			t.Errorf("locked: %s exits %d: %q", command, code, errs)
		}
	}
}

// BenchmarkToken is the hot path as people meet it: a process that prints a cached token.
func BenchmarkToken(b *testing.B) {
	h := newHouse(b)
	h.must("login")
	for b.Loop() {
		h.must("token")
	}
}

// BenchmarkVersion is what of that is the start of the process alone.
func BenchmarkVersion(b *testing.B) {
	h := newHouse(b)
	for b.Loop() {
		h.must("version")
	}
}
