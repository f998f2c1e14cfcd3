package faults

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/secretservice"
)

// An interrupted login does not wait for a keychain that hangs. The limit of a minute is for a user who types the
// keychain's password.
func TestInterruptedBesideHangingKeychain(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	h := house.WithTenant(t, append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	login := h.Command(ctx, "login", "--no-browser")
	waiting := house.Watch(t, login)
	waiting.Line(t, h.Tenant.Issuer())
	k.Stop(t)
	if err := login.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = login.Wait()
	if code := login.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d", code)
	}
	k.Continue(t)
	house.Refused(t, h.Run("status"), 3, "loopkey login")
	h.Must("login")
	h.Must("token")
}

// A command that runs during a logout finds the session or finds none. It never says that the keychain can't be used.
func TestQuestionsBesideLogout(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	h := house.WithTenant(t, append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	for range house.Often(10) {
		h.Must("login")
		var running sync.WaitGroup
		for i := range 16 {
			running.Go(func() {
				command := []string{"status", "token", "logout --local"}[i%2+i/15]
				if r := h.Run(strings.Fields(command)...); r.Code != 0 && r.Code != 3 {
					t.Errorf("%s exits %d: %s", command, r.Code, r.Stderr)
				}
			})
		}
		running.Wait()
	}
}
