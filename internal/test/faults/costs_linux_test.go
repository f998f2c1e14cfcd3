package faults

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/secretservice"
)

// What a cached token and a renewal cost the keychain: the calls, and how often a reply is waited for. A renewal is
// made by two processes, of which each has one conversation.
func TestKeychainCosts(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	tap, env := k.Tap(t)
	h := house.WithTenant(t, append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	h.Must("login")
	h = h.With(env...)
	read := []string{"Hello", "SearchItems", "OpenSession", "GetSecrets"}
	for command, want := range map[string]secretservice.Asked{
		"token":  {Calls: read, Waits: 3, Connections: 1},
		"status": {Calls: read, Waits: 3, Connections: 1},
	} {
		h.Must(command)
		if diff := cmp.Diff(want, tap.Asked()); diff != "" {
			t.Errorf("%s:\n%s", command, diff)
		}
	}
	h.Tenant.Reset()
	h.Must("token", "--force-refresh")
	want := secretservice.Asked{Calls: append(read,
		"Hello", "RequestName", "SearchItems", "SearchItems", "OpenSession", "GetSecrets", // the lease, and what it is about
		"Get", "SetSecret", "GetSecrets", // the note that a renewal begins
		"Get", "SetSecret", "GetSecrets", // its response
	), Waits: 10, Connections: 2}
	if diff := cmp.Diff(want, tap.Asked()); diff != "" {
		t.Errorf("a renewal:\n%s", diff)
	}
	if got := h.Tenant.Requests("token"); got != 1 {
		t.Errorf("%d requests", got)
	}
}
