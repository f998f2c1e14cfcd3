package clients_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/internal/test/pty"
)

// forget removes the note of a login that nobody finished, as if a minute had passed.
func (k *kubectl) forget() {
	k.t.Helper()
	notes, err := filepath.Glob(filepath.Join(k.Dir, ".local", "state", "loopkey", "*.login"))
	if err != nil || len(notes) != 1 {
		k.t.Fatalf("notes of unfinished logins: %v, %v", notes, err)
	}
	if err := os.Remove(notes[0]); err != nil {
		k.t.Fatal(err)
	}
}

// At a terminal, kubectl logs the person in: one tab for all who wait, one tab for the six times that kubectl calls a
// plugin that fails, and nothing but the config maps once there is a session.
func TestKubectlTerminal(t *testing.T) {
	t.Parallel()
	k := kubectlFor(t, 0)
	if k.old {
		// Also with LOOPKEY_TEST_REAL: Debian 12's kubectl is older.
		t.Skip("this kubectl never says that somebody is there")
	}
	starts := func() *pty.Terminal {
		return pty.Start(t, k.command(t.Context(), "get", "configmaps"))
	}
	tabs := func() int { return k.Tenant.Requests("authorize") / 2 } // the login page, and its form

	refusing := k.command(t.Context(), "get", "configmaps")
	refusing.Env = append(refusing.Env, "VISIT=deny")
	p := pty.Start(t, refusing)
	p.Expect("the login was declined")
	p.Expect("nobody finished the login of")
	p.Expect("failed with exit code 3")
	if p.Exit() == 0 || tabs() != 1 {
		t.Errorf("%d tabs of a kubectl that fails", tabs())
	}

	k.forget()
	k.Tenant.Reset()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			p := starts()
			if p.Exit() != 0 || !strings.Contains(p.Screen(), "engine") {
				t.Errorf("kubectl fails: %s", p.Screen())
			}
		})
	}
	all.Wait()
	if tabs() != 1 || k.Tenant.Requests("token") != 1 {
		t.Errorf("%d tabs, %d logins", tabs(), k.Tenant.Requests("token"))
	}
	p = starts()
	if p.Exit() != 0 || !strings.HasPrefix(p.Screen(), "NAME") {
		t.Errorf("kubectl fails, or says more than it should: %s", p.Screen())
	}
}
