package main

import (
	"context"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
	"github.com/loopkey/loopkey/internal/test/secretservice"
	"github.com/loopkey/loopkey/keystore"
)

// A hundred tools that ask at once for an expired token make one refresh request.
func TestHundredTools(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	store := &gathering{Store: h.Store, all: make(chan struct{})}
	h.ServeStore(store)
	h.Configure(h.Tenant.Issuer())
	h.Must("login")
	h.Expire()
	tools := 100
	if testing.Short() {
		tools = 20
	}
	store.awaited.Store(int32(tools))
	tokens := make([]string, tools)
	var running sync.WaitGroup
	for i := range tools {
		running.Go(func() {
			r := h.Run("token")
			if r.Code != 0 || r.Stderr != "" {
				t.Errorf("tool %d: exit %d: %s", i, r.Code, r.Stderr)
			}
			tokens[i] = r.Stdout
		})
	}
	running.Wait()
	for i, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Errorf("tool %d got another token than the first", i)
		}
	}
	if got := h.Tenant.Requests("token"); got != 1 {
		t.Errorf("%d refresh requests, not 1", got)
	}
	if got := h.Tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families were revoked", got)
	}
}

// A gathering holds back the renewal until all tools have asked for the token. What the renewal may take of time then
// is not spent on starting the tools.
type gathering struct {
	keystore.Store
	awaited atomic.Int32 // the tools that have not asked yet, if any are awaited
	all     chan struct{}
}

// Head implements keystore.Store. A tool calls it once, before anything else.
func (g *gathering) Head(ctx context.Context, name string) (keystore.Record, error) {
	if g.awaited.Load() > 0 && g.awaited.Add(-1) == 0 {
		close(g.all)
	}
	return g.Store.Head(ctx, name)
}

// Load implements keystore.Store. The process that renews calls it before the refresh request.
func (g *gathering) Load(ctx context.Context, name string) (keystore.Record, error) {
	if g.awaited.Load() > 0 {
		select {
		case <-g.all:
		case <-ctx.Done():
		}
	}
	return g.Store.Load(ctx, name)
}

// Ctrl-C ends a waiting login with an exit code of its own, and a server with 0. Both free the port.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	for _, c := range []struct {
		command, words string
		code           int
	}{{"login", "interrupted", 130}, {"serve", "Stopped serving", 0}} {
		waiting := h.Start(c.command, "--no-browser")
		prefix := h.Tenant.Issuer()
		if c.command == "serve" {
			prefix = h.Base
		}
		waiting.Line(t, prefix)
		if c.command == "serve" {
			waiting.Line(t, "Ctrl-C ends the server.")
		}
		if err := waiting.Cmd.Process.Signal(os.Interrupt); err != nil {
			part.Missing(t, "no such signal here: %v", err)
		}
		rest, err := io.ReadAll(waiting.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		_ = waiting.Cmd.Wait()
		if code := waiting.Cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(rest), c.words) {
			t.Errorf("%s exits %d: %s", c.command, code, rest)
		}
		listener, err := localhost.Listen(t.Context(), h.Base)
		if err != nil {
			t.Fatalf("%s: the port is not free: %v", c.command, err)
		}
		_ = listener.Close()
	}
}

// A token that has nothing to finish ends by the signal itself, as any program does: to a shell that is 130 after
// Ctrl-C, and 143 after SIGTERM.
func TestInterruptedToken(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such signals")
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		h, store, _ := heldHouse(t)
		h.Must("login")
		store.reads.Store(true)
		store.armed.Store(true)
		waiting := h.Start("token")
		<-store.arrived
		if err := waiting.Cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(waiting.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		_ = waiting.Cmd.Wait()
		if how := waiting.Cmd.ProcessState.String(); how != "signal: "+signal.String() || len(said) > 0 {
			t.Errorf("token ends by %s, and says %q", how, said)
		}
	}
}

// Login, token, renewal and logout with a real Secret Service.
func TestRealKeychain(t *testing.T) {
	t.Parallel()
	keychain := secretservice.Start(t)
	h := house.WithTenant(t, append(keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	h.Must("login")
	token := h.Must("token")
	if again := h.Must("token"); again != token {
		t.Error("the cached token changed")
	}
	if fresh := h.Must("token", "--force-refresh"); fresh == token {
		t.Error("the token was not renewed")
	}
	h.Must("login", "-p", "work", "--issuer", h.Tenant.Issuer(), "--client-id", house.Client, "--base-url", h.Base)
	h.Must("logout")
	if r := h.Run("token"); r.Code != 3 {
		t.Errorf("after the logout token exits %d", r.Code)
	}
	h.Must("logout", "--all")

	keychain.Lock(t)
	for _, command := range []string{"token", "status", "login"} {
		r := h.Run(command)
		if r.Code != 5 || r.Stdout != "" || !strings.Contains(r.Stderr, "lock") ||
			!strings.Contains(r.Stderr, "--keystore file") {
			t.Errorf("locked: %s exits %d: %q", command, r.Code, r.Stderr)
		}
	}
}

// BenchmarkToken measures a process that prints a cached token.
func BenchmarkToken(b *testing.B) {
	h := house.WithTenant(b)
	h.Must("login")
	for b.Loop() {
		h.Must("token")
	}
}

// BenchmarkRenewal measures a process that renews the token first.
func BenchmarkRenewal(b *testing.B) {
	h := house.WithTenant(b)
	h.Must("login")
	for b.Loop() {
		h.Must("token", "--force-refresh")
	}
}

// BenchmarkVersion measures the start of the process alone.
func BenchmarkVersion(b *testing.B) {
	h := house.WithTenant(b)
	for b.Loop() {
		h.Must("version")
	}
}
