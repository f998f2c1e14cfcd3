package keystore

import (
	"testing"

	"github.com/godbus/dbus/v5"
)

// The same words of the service or of a collection do not mean that there is no such item.
func TestVanished(t *testing.T) {
	t.Parallel()
	const path = "Object does not exist at path “/org/freedesktop/secrets"
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"org.freedesktop.Secret.Error.NoSuchObject", "gone", true},
		{"org.freedesktop.DBus.Error.UnknownObject", path + "/collection/login/1”", true},
		{"org.freedesktop.DBus.Error.UnknownMethod", path + "/collection/login/1”", true},
		{"org.freedesktop.DBus.Error.UnknownInterface", path + "/collection/login/1”", true},
		{"org.freedesktop.DBus.Error.UnknownMethod", path + "/collection/login”", false},
		{"org.freedesktop.DBus.Error.UnknownMethod", path + "”", false},
		{"org.freedesktop.DBus.Error.Failed", path + "/collection/login/1”", false},
	} {
		if got := vanished(dbus.Error{Name: c.name, Body: []any{c.text}}); got != c.want {
			t.Errorf("%s: %s: %t", c.name, c.text, got)
		}
	}
}
