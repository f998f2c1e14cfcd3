package main

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/secretservice"
)

// In a real keychain doctor leaves nothing behind and the session as it is. A keychain that is locked is told apart
// from one that is not there.
func TestDoctorInTheKeychain(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	h := house.WithTenant(t, append(k.Env(), "LOOPKEY_KEYSTORE=keychain")...)
	h.Must("login")
	token := h.Must("token")
	service := k.Connect(t).Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
	items := func() int {
		t.Helper()
		var unlocked, locked []dbus.ObjectPath
		err := service.CallWithContext(t.Context(), "org.freedesktop.Secret.Service.SearchItems", 0,
			map[string]string{"service": "loopkey"}).Store(&unlocked, &locked)
		if err != nil {
			t.Fatal(err)
		}
		return len(unlocked) + len(locked)
	}
	before := items()
	found := examined(t, h)
	if f := found["keychain"]; f.State != "ok" || !strings.HasPrefix(f.Message, "keychain: written in ") {
		t.Errorf("%+v", f)
	}
	if f := found["session"]; f.State != "ok" {
		t.Errorf("%+v", f)
	}
	if after := items(); before == 0 || after != before || h.Must("token") != token {
		t.Errorf("%d items, and %d before", after, before)
	}
	k.Lock(t)
	found = examined(t, h)
	if f := found["keychain"]; f.State != "broken" || !strings.Contains(f.Message, "locked") ||
		!strings.Contains(f.Fix, "unlock it") || found["session"].State != "skipped" {
		t.Errorf("locked: %+v, %+v", f, found["session"])
	}
	absent := h.With("DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR="+h.Dir)
	if f := examined(t, absent)["keychain"]; f.State != "broken" || !strings.Contains(f.Message, "no D-Bus session") {
		t.Errorf("absent: %+v", f)
	}
}
