package main

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/loopkey/loopkey/"

// mayImport holds the arrows between the rooms: configuration, provider, login,
// session, keystore, then token or page. A new arrow is a decision, so it is made here.
var mayImport = map[string][]string{
	"internal/environ": {},
	"internal/private": {},
	"internal/known":   {"internal/private"},
	"internal/words":   {},
	"internal/wire":    {"internal/words"},
	"provider":         {"internal/clock", "internal/localurl", "internal/private", "internal/words"},
	"keystore":         {"internal/private", "internal/words"},
	"internal/config":  {"internal/environ", "internal/keystores", "internal/known", "internal/localurl", "internal/private", "internal/words"},
	"internal/tenant":  {},
	"loopback":         {"provider", "internal/clock", "internal/environ", "internal/localhost", "internal/localurl", "internal/words"},
	"session":          {"provider", "keystore", "internal/clock", "internal/known", "internal/private", "internal/wire", "internal/words"},
	"internal/layout":  {"internal/words"},
	"internal/pages":   {"provider", "internal/layout", "internal/private", "internal/words"},
	"webui": {
		"provider",
		"session",
		"loopback",
		"internal/clock",
		"internal/layout",
		"internal/localhost",
		"internal/localurl",
		"internal/pages",
		"internal/upstream",
		"internal/words",
		"internal/handoff",
	},
	"internal/cli": {
		"provider",
		"keystore",
		"internal/clock",
		"internal/config",
		"internal/environ",
		"internal/keystores",
		"internal/known",
		"internal/localhost",
		"internal/private",
		"internal/tenant",
		"internal/wire",
		"internal/words",
		"loopback",
		"session",
		"webui",
		"internal/handoff",
		"internal/upstream",
	},
	".": {"internal/cli"},

	"internal/keystores": {"keystore"},

	"internal/clock":     {},
	"internal/localurl":  {},
	"internal/localhost": {"internal/localurl", "internal/words"},

	"internal/handoff":  {"provider", "keystore", "loopback", "internal/localurl", "internal/private", "internal/wire"},
	"internal/upstream": {"provider", "session", "internal/localhost", "internal/localurl", "internal/words"},

	"internal/licences": {}, // a program that CI runs

	// What only tests use.
	"internal/test/chromium": {}, "internal/test/markup": {}, "internal/test/npm": {},
	"internal/test/house":   {"internal/cli", "internal/tenant", "keystore"},
	"internal/test/hostile": {"internal/test/house"},
	"internal/test/axe":     {"internal/test/chromium", "internal/test/npm"},
	"internal/test/panva":   {"internal/test/npm"},
}

func TestArrows(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
			return filepath.SkipDir
		}
		room := filepath.ToSlash(path)
		pkg, err := build.ImportDir(path, 0)
		if err != nil {
			return nil //nolint:nilerr // a folder without Go files is no room
		}
		allowed, known := mayImport[room]
		for _, path := range pkg.Imports {
			target, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if !known {
				t.Errorf("%s imports %s, but is no room of the house", room, target)
			} else if !slices.Contains(allowed, target) {
				t.Errorf("%s must not import %s", room, target)
			}
		}
		seen[room] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range mayImport {
		if !seen[room] {
			t.Errorf("the room %s is missing", room)
		}
	}
}
