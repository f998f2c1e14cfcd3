package hostile

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/house"
	"github.com/loopkey/loopkey/keystore/keychaintest"
)

// A login that is interrupted does not wait for a keychain that hangs: the minute that it
// has is for a person who types a password.
func TestInterruptedBesideHangingKeychain(t *testing.T) {
	t.Parallel()
	k := keychaintest.Start(t)
	h := house.WithTenant(t, append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	login := h.Command(ctx, "login", "--no-browser")
	waiting := watch(t, login)
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
	refused(t, h.Run("status"), 3, "loopkey login")
	h.Must("login")
	h.Must("token")
}
