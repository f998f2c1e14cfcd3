package faults

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/hostile"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/secretservice"
)

// homes returns the house as processes see it whose state lies in folders of their own, so that they have no lock in
// common.
func homes(t *testing.T, h *house.House) (a, b *house.House) {
	t.Helper()
	return h.With("XDG_STATE_HOME=" + t.TempDir()), h.With("XDG_STATE_HOME=" + t.TempDir())
}

// Processes with different state folders and one keychain renew at once, round after round. They send one request, and
// no refresh token is used twice.
func TestHomesRenewAtOnce(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	h := house.WithTenant(t, append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	a, b := homes(t, h)
	a.Must("login")
	for round := range house.Often(8) {
		b.Expire()
		var running sync.WaitGroup
		tokens := make([]string, 4)
		for i := range tokens {
			running.Go(func() {
				r := []*house.House{a, b}[i%2].Run("token")
				if r.Code != 0 || r.Stderr != "" {
					t.Errorf("round %d, tool %d: exit %d: %s", round, i, r.Code, r.Stderr)
				}
				tokens[i] = r.Stdout
			})
		}
		running.Wait()
		if all := slices.Compact(tokens); len(all) != 1 {
			t.Errorf("round %d: %d different tokens", round, len(all))
		}
		if got := h.Tenant.Requests("token"); got != 1 {
			t.Errorf("round %d: %d refresh requests, not 1", round, got)
		}
	}
	if got := h.Tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families were revoked", got)
	}
	b.Must("logout", "--no-browser")
	house.Refused(t, a.Run("status"), 3, "loopkey login")
}

// A renewal is killed while a process of another home waits for it. That goes on at once, and warns that the refresh
// token may have been used.
func TestHomeWhoseRenewalIsKilled(t *testing.T) {
	t.Parallel()
	k, p := secretservice.Start(t), hostile.Start(t)
	h := house.New(t, p.Issuer(), append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	a, b := homes(t, h)
	a.Must("login")
	asked, goOn := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	p.On(hostile.Token, func(http.ResponseWriter, *http.Request) bool {
		if first.CompareAndSwap(false, true) {
			close(asked)
			<-goOn
		}
		return false
	})
	defer close(goOn)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	killed := a.Command(ctx, "token", "--force-refresh")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	waiting := b.Command(ctx, "token", "--force-refresh")
	var said bytes.Buffer
	waiting.Stderr = &said
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	waitsForLock(ctx, t, waiting.Process.Pid, ".work.lock")
	if err := syscall.Kill(child(t, killed.Process.Pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := killed.Wait(); err == nil {
		t.Error("the one whose renewal was killed has a token")
	}
	if err := waiting.Wait(); err != nil || !strings.Contains(said.String(), "response to the last renewal was lost") {
		t.Errorf("the other: %v: %s", err, said.String())
	}
	for _, h := range []*house.House{a, b} {
		if r := h.Run("token", "--force-refresh"); r.Code != 0 || r.Stderr != "" {
			t.Errorf("afterwards: exit %d: %s", r.Code, r.Stderr)
		}
	}
}

// waitsForLock waits until a process has a lock's file open, or the process of its own that works for it.
func waitsForLock(ctx context.Context, t *testing.T, pid int, name string) {
	t.Helper()
	for {
		for _, p := range append(children(t, pid), pid) {
			files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p))
			if slices.ContainsFunc(files, func(file string) bool {
				target, err := os.Readlink(file)
				return err == nil && strings.HasSuffix(target, name)
			}) {
				return
			}
		}
		if ctx.Err() != nil {
			t.Fatal("it never waits")
		}
	}
}

// child returns the one child process of a process.
func child(t *testing.T, parent int) int {
	t.Helper()
	all := children(t, parent)
	if len(all) != 1 {
		t.Fatalf("it has %d child processes", len(all))
	}
	return all[0]
}

// children returns the child processes of a process.
func children(t *testing.T, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, stat := range stats {
		content, _ := os.ReadFile(stat) // the process may have ended
		_, fields, _ := strings.Cut(string(content), ") ")
		var state string
		var ppid int
		if _, err := fmt.Sscan(fields, &state, &ppid); err == nil && ppid == parent {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}

// The lease of a session has an entry beside the session's, which holds no token. A renewal reads the keychain six
// times and writes it twice.
func TestLeaseInTheKeychain(t *testing.T) {
	t.Parallel()
	v, p := newVault(t), hostile.Start(t)
	h := house.New(t, p.Issuer(), append(v.Keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	h.Must("login")
	reads, writes := v.Calls("GetSecret"), v.Calls("CreateItem")
	h.Must("token", "--force-refresh")
	reads, writes = v.Calls("GetSecret")-reads, v.Calls("CreateItem")-writes
	if reads > 6 || writes > 2 {
		t.Errorf("a renewal makes %d reads and %d writes", reads, writes)
	}
	p.Respond(hostile.Token, http.StatusBadGateway, "", "")
	for range 2 {
		if r := h.Run("token", "--force-refresh"); r.Code != 1 {
			t.Errorf("exit %d: %s", r.Code, r.Stderr)
		}
		entries := v.Entries()
		var note []byte
		for name, secret := range entries {
			_, encoded, _ := strings.Cut(secret, " ")
			if strings.HasSuffix(name, "/lease") {
				var err error
				if note, err = base64.RawStdEncoding.DecodeString(encoded); err != nil {
					t.Error(err)
				}
			}
		}
		if len(entries) != 2 || !bytes.Contains(note, []byte(`"refresh_token_sha256":"`)) {
			t.Errorf("%d entries, the note is %q", len(entries), note)
		}
		if len(p.Secrets()) == 0 {
			t.Error("there are no secrets")
		}
		for _, secret := range p.Secrets() {
			if bytes.Contains(note, []byte(secret)) {
				t.Errorf("the note holds a secret: %q", note)
			}
		}
		p.On(hostile.Token, func(w http.ResponseWriter, _ *http.Request) bool { // the response is lost
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
			return true
		})
	}
	p.On(hostile.Token, nil)
	if r := h.Run("token", "--force-refresh"); r.Code != 0 || !strings.Contains(r.Stderr, "renewal was lost") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	h.Must("logout", "--local")
	if left := v.Entries(); len(left) != 0 {
		t.Errorf("%d entries are left", len(left))
	}
}
