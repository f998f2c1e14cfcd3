package session_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/secretservice"
	"github.com/loopkey/loopkey/session"
)

// By default the session is in the keychain, where loopkey's commands find it. No other test of this package may use
// the keychain: go-keyring keeps its connection.
func TestOpenKeychain(t *testing.T) {
	for _, variable := range secretservice.Session(t) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	scene := newScene(t, tenant.Config{})
	o := session.Options{Issuer: scene.p.Issuer(), ClientID: clientID, StateDir: t.TempDir(), CacheDir: t.TempDir()}
	s, err := session.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(t.Context(), scene.tokens("")); err != nil {
		t.Fatal(err)
	}
	noted, err := known.All(o.StateDir)
	if err != nil || len(noted) != 1 || noted[0].Keystore != "keychain" || noted[0].Name() != s.Name() {
		t.Errorf("noted: %+v, %v", noted, err)
	}
	again, err := session.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.AccessToken(t.Context(), session.Request{}); err != nil {
		t.Error(err)
	}
	o.AppName = "myapp"
	other, err := session.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.AccessToken(t.Context(), session.Request{}); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("another program's keychain: %v", err)
	}
	if _, err := s.End(t.Context(), session.EndOptions{}); err != nil {
		t.Error(err)
	}
	if noted, err = known.All(o.StateDir); err != nil || len(noted) != 0 {
		t.Errorf("still noted: %+v, %v", noted, err)
	}
}
