// Package vite runs Vite's development server for tests: an app whose page changes, through a WebSocket, when its files
// do.
//
// It needs node and npm. Where one is missing, or npm ci can't get the packages, the test is skipped and says why; with
// LOOPKEY_TEST_REAL=1 it fails.
package vite

import (
	"embed"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/loopkey/loopkey/internal/test/npm"
)

//go:embed server.mjs package.json package-lock.json .npmrc
var files embed.FS

// Start serves the folder until the test ends, and returns the server's URL.
func Start(t testing.TB, folder string) string {
	t.Helper()
	dir := npm.Install(t, "vite", files)
	script, err := files.ReadFile("server.mjs")
	if err != nil {
		t.Fatal(err)
	}
	stdout := npm.Run(t, "Vite", dir, script, "VITE_ROOT="+folder, "NO_COLOR=1")
	var ready struct{ Port int }
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
		t.Fatalf("Vite did not start: %v", err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", ready.Port)
}
