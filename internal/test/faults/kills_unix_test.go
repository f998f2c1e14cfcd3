//go:build unix

package faults

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/secretservice"
)

// Each command is killed at random moments, every second time with its process group. After each kill the session is
// whole, the old one or the new one, and no refresh token is ever used twice.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, killed := range house.Few([]struct {
		keystore, command string
		instants          int
	}{
		{"memory", "login", 50},
		{"memory", "token --force-refresh", 60},
		{"memory", "logout --no-browser", 55},
		{"keychain", "login", 10},
		{"keychain", "token --force-refresh", 20},
		{"file", "token --force-refresh", 5},
	}) {
		t.Run(killed.keystore+"/"+killed.command, func(t *testing.T) {
			t.Parallel()
			var env []string
			switch killed.keystore {
			case "keychain":
				env = append(secretservice.Start(t).Env(), "LOOPKEY_KEYSTORE=keychain")
			case "file":
				env = []string{"LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE=correct horse battery staple"}
			}
			killOften(t, house.WithTenant(t, env...), house.Often(killed.instants), strings.Fields(killed.command)...)
		})
	}
}

func killOften(t *testing.T, h *house.House, instants int, args ...string) {
	t.Helper()
	began := time.Now()
	h.Must("login")
	h.Must(args...)
	span := time.Since(began)
	loggedIn := args[0] != "logout"
	for i := range instants {
		if !loggedIn {
			h.Must("login")
		}
		kill(t, h, time.Duration(rand.Int64N(int64(span))), i%2 == 0, args...)

		status, token := h.Run("status"), h.Run("token")
		switch {
		case status.Code == 0 && token.Code == 0 && strings.TrimSpace(token.Stdout) != "":
			loggedIn = true
		case args[0] == "logout" && status.Code == 3 && token.Code == 3:
			loggedIn = false
		default:
			t.Fatalf(
				"kill %d: status exits %d (%s), token exits %d (%s)", i, status.Code, status.Stderr, token.Code, token.Stderr,
			)
		}
		if args[0] == "logout" { // the refresh token may be revoked already
			continue
		}
		if r := h.Run("token", "--force-refresh"); r.Code != 0 {
			t.Fatalf("kill %d: the session can't be renewed: exit %d: %s", i, r.Code, r.Stderr)
		}
	}
	if got := h.Tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families were revoked", got)
	}
	if loggedIn {
		h.Must("logout", "--no-browser")
	}
	if r := h.Run("status"); r.Code != 3 {
		t.Errorf("after the logout status exits %d: %s", r.Code, r.Stderr)
	}
}

// kill starts loopkey and kills it after a while, alone or with its process group.
func kill(t *testing.T, h *house.House, after time.Duration, group bool, args ...string) {
	t.Helper()
	cmd := h.Command(context.Background(), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: group}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	target := cmd.Process.Pid
	if group {
		target = -target
	}
	timer := time.AfterFunc(after, func() { _ = syscall.Kill(target, syscall.SIGKILL) })
	_ = cmd.Wait()
	timer.Stop()
}

// A hundred tools at once ask for a token that has expired, in several rounds, and every tenth is killed. Refresh
// tokens rotate, and the tenant detects reuse.
func TestManyRounds(t *testing.T) {
	t.Parallel()
	tools, rounds := 100, house.Often(20)
	if testing.Short() {
		tools = 20
	}
	h := house.WithTenant(t)
	h.Must("login")
	for round := range rounds {
		h.Expire()
		var running sync.WaitGroup
		tokens := make([]string, tools)
		for i := range tools {
			running.Go(func() {
				if i%10 == 9 {
					kill(t, h, time.Duration(rand.IntN(200))*time.Millisecond, i%20 == 9, "token")
					return
				}
				r := h.Run("token")
				if r.Code != 0 || r.Stderr != "" {
					t.Errorf("round %d, tool %d: exit %d: %s", round, i, r.Code, r.Stderr)
				}
				tokens[i] = r.Stdout
			})
		}
		running.Wait()
		for i, token := range tokens {
			if i%10 != 9 && token != tokens[0] {
				t.Errorf("round %d: tool %d got another token than the first", round, i)
			}
		}
		if got := h.Tenant.Requests("token"); got != 1 {
			t.Errorf("round %d: %d refresh requests, not 1", round, got)
		}
	}
	if got := h.Tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families were revoked", got)
	}
}
