package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/keystore"
)

// The keystore of a login belongs to its session: every later command finds the session there, however it names the
// issuer, and a logout ends it wherever it is told to look.
func TestKeystoreOfTheSession(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "LOOPKEY_PASSPHRASE="+passphrase)
	named := []string{"--issuer", h.Tenant.Issuer(), "--client-id", client}
	elsewhere := h.With("LOOPKEY_ISSUER="+h.Tenant.Issuer(), "LOOPKEY_CLIENT_ID="+client, "LOOPKEY_CONFIG=")
	stored := func() bool { // in the keystore of the profile
		name := known.Client{Profile: "default", Issuer: h.Tenant.Issuer(), ClientID: client}.Name()
		_, err := h.Store.Load(t.Context(), name)
		if err != nil && !errors.Is(err, keystore.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	revoked := func(want int) {
		t.Helper()
		if got := h.Tenant.Requests("revoke"); got != want {
			t.Errorf("%d revocations, not %d", got, want)
		}
		h.Tenant.Reset()
	}

	h.Must("login", "--keystore", "file")
	if stored() {
		t.Fatal("the session is in the profile's keystore")
	}
	for _, args := range [][]string{
		{"token"}, append([]string{"token"}, named...), {"token", "--force-refresh"}, {"status"},
	} {
		h.Must(args...)
	}
	for _, args := range [][]string{{"token"}, {"status"}, append([]string{"token", "--force-refresh"}, named...)} {
		elsewhere.Must(args...)
	}
	h.Tenant.Reset()
	r := h.Run("logout", "--no-browser")
	if r.Code != 0 || !strings.Contains(r.Stderr, "refresh token revoked") {
		t.Errorf("logout: exit %d: %s", r.Code, r.Stderr)
	}
	revoked(1)

	// The other way round: a session in the profile's keystore, and a logout that is told to look in the file.
	h.Must("login")
	if !stored() {
		t.Fatal("the session is not in the profile's keystore")
	}
	if r := h.Run("token", "--keystore", "file"); r.Code != 3 ||
		!strings.Contains(r.Stderr, "the session is in the keystore socket:") ||
		!strings.Contains(r.Stderr, "leave --keystore out") {
		t.Errorf("token: exit %d: %s", r.Code, r.Stderr)
	}
	h.Tenant.Reset()
	r = h.Run("logout", "--keystore", "file", "--no-browser")
	if r.Code != 0 || strings.Contains(r.Stderr, "Nobody") || stored() {
		t.Errorf("logout: exit %d: %s", r.Code, r.Stderr)
	}
	revoked(1)

	// A login that goes to another keystore ends the one that it replaces.
	h.Must("login", "--keystore", "file")
	h.Tenant.Reset()
	h.Must("login")
	revoked(1)
	state := filepath.Join(h.Dir, ".local/state/loopkey")
	if files, err := filepath.Glob(filepath.Join(state, "sessions", "*.age")); err != nil || len(files) > 0 {
		t.Errorf("the file is still there: %v, %v", files, err)
	}
	h.Must("token")
	h.Tenant.Reset()
	h.Must("logout", "--all", "--no-browser")
	revoked(1)
}

// A note of a login is kept until the keystore that it names was found empty.
func TestKeystoreThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "LOOPKEY_PASSPHRASE="+passphrase)
	h.Must("login", "--keystore", "file")
	locked := h.With("LOOPKEY_PASSPHRASE=wrong")
	// The file can't be opened, so the login that replaces it says that it stays.
	r := locked.Run("login")
	if r.Code != 0 || !strings.Contains(r.Stderr, "An earlier login is still in the keystore file; loopkey logout ends") {
		t.Fatalf("login: exit %d: %s", r.Code, r.Stderr)
	}
	h.Must("token")
	if r := locked.Run("logout", "--no-browser"); r.Code != 5 || !strings.Contains(r.Stderr, "refresh token revoked") {
		t.Errorf("logout: exit %d: %s", r.Code, r.Stderr)
	}
	// The profile's own session is gone, and the one in the file is still known.
	h.Must("token")
	h.Tenant.Reset()
	r = h.Run("logout", "--all", "--no-browser")
	if r.Code != 0 || !strings.Contains(r.Stderr, "refresh token revoked") {
		t.Errorf("logout --all: exit %d: %s", r.Code, r.Stderr)
	}
	notes, err := filepath.Glob(filepath.Join(h.Dir, ".local/state/loopkey/*.known.json"))
	if err != nil || len(notes) > 0 {
		t.Errorf("still noted: %v, %v", notes, err)
	}
	// A note that can't be read, such as one of a later version, is no proof that nobody is logged in.
	h.Must("login")
	notes, err = filepath.Glob(filepath.Join(h.Dir, ".local/state/loopkey/*.known.json"))
	if err != nil || len(notes) != 1 {
		t.Fatalf("%v, %v", notes, err)
	}
	if err := os.WriteFile(notes[0], []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"logout --all --profile other", "sessions"} {
		r = h.Run(strings.Fields(command)...)
		const want = `profile "default" may still be logged in: run loopkey logout -p default`
		if r.Code != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d: %s", command, r.Code, r.Stderr)
		}
	}
	h.Must("logout", "-p", "default", "--no-browser") // as it said
	if r := h.Run("logout", "--all"); r.Code != 0 || !strings.Contains(r.Stderr, "Nobody was logged in") {
		t.Errorf("logout --all: exit %d: %s", r.Code, r.Stderr)
	}
}
