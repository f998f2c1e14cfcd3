package faults

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/hostile"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/secretservice"
)

// Where the keychain can't be asked, every command exits 5 and says what to do, before it opens a browser and before it
// sends a request to the provider. It never says that nobody is logged in. When the keychain is back, the session is
// too.
func TestKeychainAway(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a keychain that hangs is waited for")
	}
	absent := func(_ *testing.T, h *house.House, _ *secretservice.Keychain) func() {
		was := h.Env
		h.Env = append(h.Env, "DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR="+h.Dir)
		return func() { h.Env = was }
	}
	hanging := func(t *testing.T, _ *house.House, k *secretservice.Keychain) func() {
		k.Stop(t)
		return func() { k.Continue(t) }
	}
	for name, c := range map[string]struct {
		takeAway func(*testing.T, *house.House, *secretservice.Keychain) (putBack func())
		words    string
		commands []string
	}{
		"absent": {absent, "there is no D-Bus session", []string{
			"login", "login --device", "token", "token --force-refresh", "status", "exec -- true", "serve --no-browser",
			"logout", "logout --local", "logout --all",
		}},
		// Commands that a user waits for have a limit of a minute: TestKeychainCannotBeUsed tests those.
		"hanging": {hanging, "no answer in 9s", []string{"token", "token --force-refresh", "status", "exec -- true"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := secretservice.Start(t)
			h := house.WithTenant(t, append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
			h.Must("login")
			token := h.Must("token")
			h.Tenant.Reset()
			putBack := c.takeAway(t, h, k)
			done := make(chan struct{})
			began := time.Now()
			for _, command := range c.commands { // at once, because each may take its whole limit
				go func() {
					defer func() { done <- struct{}{} }()
					r := h.Run(strings.Fields(command)...)
					house.Refused(t, r, 5, "the keychain can't be used: "+c.words, "--keystore file")
					if strings.Contains(r.Stderr, "Opening your browser") {
						t.Errorf("%s sent the person to a browser: %s", command, r.Stderr)
					}
				}()
			}
			for range c.commands {
				<-done
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("they took %v", took)
			}
			for _, endpoint := range []string{"authorize", "token", "revoke", "device"} {
				if got := h.Tenant.Requests(endpoint); got != 0 {
					t.Errorf("%s was asked %d times", endpoint, got)
				}
			}
			putBack()
			if again := h.Must("token"); again != token {
				t.Error("the token is another one")
			}
			h.Must("token", "--force-refresh")
		})
	}
}

// Where the keychain can be read and refuses the rest, loopkey asks the provider for nothing that it could not store,
// reports nothing that did not happen, and leaves the session as it was.
func TestKeychainRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range house.Some(map[string]struct {
		method, how string
		commands    []string // those that must fail; the others must work
		words       string
	}{
		"full":      {"CreateItem", noSpace, []string{"login", "token --force-refresh"}, "No space left on device"},
		"read only": {"CreateItem", denied, []string{"login", "token --force-refresh"}, "does not let this program"},
		"locked": {
			"Unlock", isLocked, []string{"login", "token", "token --force-refresh", "status", "exec -- true", "logout"},
			"is locked",
		},
		"unlock is shut": {"Unlock", dismissed, []string{"login", "token", "status", "logout"}, "is locked"},
		"denied": {
			"SearchItems", denied, []string{"login", "token", "token --force-refresh", "status", "logout --local"},
			"does not let this program",
		},
		"not this secret": {
			"GetSecret", denied, []string{"login", "token", "status", "logout --all"}, "does not let this program",
		},
		"no session":     {"OpenSession", denied, []string{"login", "token", "status"}, "does not let this program"},
		"deleting":       {"Delete", noSpace, []string{"logout --local"}, "No space left on device"},
		"deleting, shut": {"Delete", dismissed, []string{"logout --local"}, "did not remove an entry"},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t)
			h := house.WithTenant(t, append(v.Keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
			h.Must("login")
			was := v.Entries()
			h.Tenant.Reset()
			v.Refuse(c.method, c.how, 0)
			for _, command := range c.commands {
				house.Refused(t, h.Run(strings.Fields(command)...), 5, c.words)
			}
			if got := h.Tenant.Requests("token") + h.Tenant.Requests("authorize"); got != 0 {
				t.Errorf("%d requests", got)
			}
			if c.method == "CreateItem" {
				h.Must("token")
				h.Must("status")
			}
			v.Refuse(c.method, "", 0)
			if now := v.Entries(); !maps.Equal(now, was) {
				t.Errorf("%d entries, not as they were", len(now))
			}
			if c.method != "Delete" { // a logout revokes the refresh token first
				h.Must("token", "--force-refresh")
			}
			h.Must("logout", "--local")
			if left := v.Entries(); len(left) != 0 {
				t.Errorf("%d entries are left", len(left))
			}
		})
	}
}

// A keychain may only seem to write, as when the user dismisses its dialog. loopkey notices before a login, and never
// says that something was stored that was not.
func TestKeychainKeepsNothing(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	h := house.WithTenant(t, append(v.Keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	v.Refuse("CreateItem", dismissed, 0)
	house.Refused(t, h.Run("login"), 5, "did not keep what was written")
	if got := h.Tenant.Requests("authorize"); got != 0 {
		t.Errorf("%d people were sent to the provider", got)
	}
	v.Refuse("CreateItem", "", 0)
	if r := h.Run("login", "--no-browser", "--timeout", "50ms"); r.Code != 1 || len(v.Entries()) != 0 {
		t.Errorf("a login that came to nothing exits %d and leaves %d entries: %s", r.Code, len(v.Entries()), r.Stderr)
	}
	h.Must("login")
	was := v.Entries()
	v.Refuse("CreateItem", dismissed, 0)
	for _, command := range []string{"login", "token --force-refresh"} {
		house.Refused(t, h.Run(strings.Fields(command)...), 5, "did not keep what was written")
	}
	h.Must("token")
	v.Refuse("CreateItem", "", 0)
	if now := v.Entries(); !maps.Equal(now, was) {
		t.Error("the entries are not as they were")
	}
}

// A keychain that fails between a renewal's request and its response must not cost the session.
func TestKeychainChangesItsMind(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it waits for twenty seconds")
	}
	v := newVault(t)
	h := house.WithTenant(t, append(v.Keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	h.Must("login")

	t.Log("one that is busy for a moment is asked again")
	before := len(v.Entries())
	v.Refuse("CreateItem", noSpace, 1) // the test write before the request succeeds
	time.AfterFunc(1500*time.Millisecond, func() { v.Refuse("CreateItem", "", 0) })
	h.Must("token", "--force-refresh")
	h.Must("token", "--force-refresh")

	t.Log("one that stays so is told soon, and asked again by a process that goes on")
	v.Refuse("CreateItem", noSpace, 1)
	house.Refused(t, h.Run("token", "--force-refresh"), 5, "No space left on device")
	v.Refuse("CreateItem", "", 0)
	h.Must("token", "--force-refresh")

	t.Log("one that never changes its mind again costs the answer, and it is said what that means")
	v.Refuse("CreateItem", noSpace, 1)
	house.Refused(t, h.Run("token", "--force-refresh"), 5, "No space left on device")
	house.Refused(t, h.Run("token", "--force-refresh"), 5, "No space left on device") // waits for the renewing process
	v.Refuse("CreateItem", "", 0)
	if r := h.Run("status"); r.Code != 0 || len(v.Entries()) != before {
		t.Errorf("status exits %d: %s", r.Code, r.Stderr)
	}
	if r := h.Run("token", "--force-refresh"); r.Code != 3 ||
		!strings.Contains(r.Stderr, "response to the last renewal was lost") || !strings.Contains(r.Stderr, "loopkey login") {
		t.Errorf("with a refresh token that was used, exit %d: %s", r.Code, r.Stderr)
	}
	h.Must("login")
}

// The user deletes the entry with the keychain's own program.
func TestKeychainDeletedWhileInUse(t *testing.T) {
	t.Parallel()
	v, p := newVault(t), hostile.Start(t)
	h := house.New(t, p.Issuer(), append(v.Keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	h.Must("login")
	nothing := func(string) string { return "" }
	p.On(hostile.Token, func(http.ResponseWriter, *http.Request) bool {
		v.Change(nothing)
		return false
	})
	h.Must("token", "--force-refresh") // the new tokens are stored
	p.On(hostile.Token, nil)
	h.Must("token", "--force-refresh")

	v.Change(nothing)
	for _, command := range []string{"token", "token --force-refresh", "status", "exec -- true"} {
		house.Refused(t, h.Run(strings.Fields(command)...), 3, "loopkey login")
	}
	h.Must("logout", "--local")
	h.Must("login")
}

// An entry that loopkey can't read stays as it is. Only a login replaces it, and only a logout deletes it.
func TestKeychainOfAnotherVersion(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	h := house.WithTenant(t, append(v.Keychain.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	for name, change := range map[string]func(string) string{
		"a later format": func(s string) string { return strings.Replace(s, "loopkey-1", "loopkey-2", 1) },
		"garbage":        func(string) string { return "garbage" },
		"cut short":      func(s string) string { return s[:len(s)/2] },
		"one bit":        func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]^1) },
		"one zero":       func(s string) string { return s + "\x00" },
		"not text":       func(string) string { return "\xff\xfe" },
	} {
		h.Must("login")
		v.Change(change)
		was := v.Entries()
		for _, command := range []string{"token", "token --force-refresh", "status", "exec -- true"} {
			r := h.Run(strings.Fields(command)...)
			house.Refused(t, r, 1, "can't be read", "loopkey login", "loopkey logout")
		}
		if now := v.Entries(); !maps.Equal(now, was) {
			t.Errorf("%s: it was touched", name)
		}
		if name < "b" {
			if r := h.Run("logout"); r.Code != 1 || !strings.Contains(r.Stderr, "could not be read, deleted here") {
				t.Errorf("%s: logout exits %d: %s", name, r.Code, r.Stderr)
			}
			if left := v.Entries(); len(left) != 0 {
				t.Errorf("%s: %d entries are left", name, len(left))
			}
		}
	}
}
