package keystores

import (
	"context"
	"slices"
	"testing"
)

func TestFind(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		kind, path string
		passphrase bool
	}{
		"keychain": {kind: "keychain"}, "file": {kind: "file", passphrase: true},
		"socket:/run/s": {kind: "socket", path: "/run/s"}, `socket:C:\s`: {kind: "socket", path: `C:\s`},
		"socket": {}, "socket:": {}, "keychain:": {}, "file:/tmp/x": {}, "file:": {}, "File": {},
		"drawer": {}, "": {}, ":": {},
	} {
		kind, path, ok := Find(name)
		if !ok {
			kind, path = Kind{}, ""
		}
		if kind.Name != want.kind || path != want.path || kind.WantsPassphrase != want.passphrase || ok != (want.kind != "") {
			t.Errorf("Find(%q) = %+v, %q, %v", name, kind, path, ok)
		}
	}
}

func TestSocket(t *testing.T) {
	t.Parallel()
	if kind, path, ok := Find(Socket("/run/s")); !ok || kind.Name != "socket" || path != "/run/s" {
		t.Errorf("%+v, %q, %v", kind, path, ok)
	}
}

func TestChoices(t *testing.T) {
	t.Parallel()
	if got := Choices(); !slices.Equal(got, []string{"keychain", "file"}) {
		t.Errorf("%q", got)
	}
	if _, _, ok := Find(Default); !ok || !slices.Contains(Choices(), Default) {
		t.Errorf("the default %q is no choice", Default)
	}
}

// A passphrase is asked for by the store that needs one, and not before it is read.
func TestOpenAsksForNothing(t *testing.T) {
	t.Parallel()
	asked := false
	options := Options{StateDir: t.TempDir(), Passphrase: func(context.Context, bool) (string, error) {
		asked = true
		return "x", nil
	}}
	for _, name := range []string{"keychain", "file", "socket:/no/such/socket"} {
		kind, path, _ := Find(name)
		if kind.Open(path, options) == nil || asked {
			t.Errorf("%s: asked %v", name, asked)
		}
	}
}
