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

// mayImport holds the arrows between the rooms: each line has a package of ours, and the packages of ours that it may
// import. A line that begins with a tab goes on with the line before it. A new arrow is a decision, so it is made here.
const mayImport = `
bench: internal/tenant internal/test/ready
bench/floor:
bench/floor/renewal:
bench/floor/start:
internal/agent: internal/clock internal/credential internal/localhost internal/private internal/words keystore provider
	session
internal/ci: internal/localurl internal/private internal/words provider
internal/cli: internal/agent internal/challenge internal/ci internal/clientkey internal/clipboard internal/clock
	internal/config
	internal/credential internal/doctor
	internal/environ internal/granted internal/handoff internal/hosts internal/journal internal/kept internal/keystores
	internal/known internal/localhost internal/localurl internal/login internal/mcp internal/newprofile internal/private
	internal/proxy internal/redact internal/setup internal/sharedstore internal/sts internal/tenant internal/terminal
	internal/upstream internal/wire internal/words keystore loopback provider session webui
internal/challenge: provider
internal/clientkey: internal/private internal/words keystore provider
internal/clipboard: internal/clock internal/environ
internal/clock:
internal/config: internal/environ internal/hosts internal/keystores internal/known internal/localurl internal/private
	internal/words provider
internal/credential: internal/hosts internal/private internal/sts internal/words provider session
internal/doctor: internal/config internal/environ internal/keystores internal/localhost internal/localurl internal/login
	internal/words keystore loopback provider session
internal/environ:
internal/granted: internal/clock
internal/handoff: internal/clock internal/localhost internal/localurl internal/login internal/private internal/wire
	internal/wire/kinds
internal/hosts: internal/words
internal/journal: internal/private
internal/kept: internal/clock provider session
internal/keystores: internal/sharedstore keystore
internal/known: internal/private
internal/layout: internal/localhost internal/template internal/words
internal/licences:
internal/localhost: internal/localurl internal/private internal/template internal/words
internal/localurl:
internal/login: internal/clock internal/granted internal/localhost internal/localurl internal/words provider
internal/manual: internal/cli
internal/markdown:
internal/mcp: internal/challenge internal/clock internal/granted internal/known internal/localurl internal/private
	internal/words keystore loopback provider session
internal/newprofile: internal/config internal/hosts internal/localurl internal/private internal/words provider
internal/pages: internal/layout internal/markdown internal/private internal/template internal/words provider
internal/prefault:
internal/private:
internal/setup: internal/private internal/words
internal/redact: internal/words
internal/secrets:
internal/proxy: internal/challenge internal/credential internal/hosts internal/localhost internal/upstream
	internal/words provider
internal/sharedstore: internal/localhost internal/private internal/wire internal/wire/kinds keystore
internal/sts: internal/hosts internal/words provider
internal/template:
internal/tenant: internal/template
internal/terminal: internal/clock internal/environ internal/words
internal/upstream: internal/localhost internal/localurl internal/words provider session
internal/wire: internal/words
internal/wire/kinds: internal/wire keystore provider
internal/words:
keystore: internal/clock internal/environ internal/private internal/secrets internal/words
keystore/keystoretest: keystore
loopback: internal/clock internal/environ internal/localhost internal/localurl internal/login internal/private
	internal/words provider
provider: internal/clock internal/granted internal/localurl internal/private internal/words
session: internal/clock internal/granted internal/known internal/private internal/wire internal/wire/kinds
	internal/words keystore provider
webui: internal/clock internal/handoff internal/kept internal/layout internal/localhost internal/localurl internal/login
	internal/pages internal/upstream internal/words provider session
.: internal/cli internal/prefault
internal/test/axe: internal/test/chromium internal/test/npm
internal/test/chromium: internal/test/part
internal/test/clients: internal/test/house internal/test/part
internal/test/faults: internal/test/house
internal/test/forge:
internal/test/hostile: internal/test/forge internal/test/house
internal/test/house: internal/cli internal/environ internal/keystores internal/known internal/sharedstore
	internal/tenant internal/test/part internal/test/ready keystore
internal/test/markup:
internal/test/mcpsdk: internal/test/npm
internal/test/npm: internal/test/part
internal/test/packages:
internal/test/panva: internal/test/npm
internal/test/part:
internal/test/pty:
internal/test/ready:
internal/test/secretservice: internal/test/part internal/test/ready
internal/test/vite: internal/test/npm
internal/test/wine:
`

// arrows returns mayImport by room.
func arrows() map[string][]string {
	rooms := map[string][]string{}
	last := ""
	for line := range strings.Lines(strings.TrimSpace(mayImport)) {
		targets := line
		if !strings.HasPrefix(line, "\t") {
			last, targets, _ = strings.Cut(line, ":")
		}
		rooms[last] = append(rooms[last], strings.Fields(targets)...)
	}
	return rooms
}

// Packages import only what mayImport allows.
func TestArrows(t *testing.T) {
	t.Parallel()
	mayImport := arrows()
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
			return nil //nolint:nilerr // a folder without Go files is not a package
		}
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("mayImport lacks %s", room)
		}
		for _, path := range pkg.Imports {
			target, ours := strings.CutPrefix(path, module)
			if ours && known && !slices.Contains(allowed, target) {
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
			t.Errorf("mayImport names %s, which has no Go files", room)
		}
	}
}
