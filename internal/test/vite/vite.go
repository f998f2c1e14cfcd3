// Package vite runs Vite's development server for tests: an app whose page changes, through a WebSocket, when its files
// do.
//
// It needs node and npm. Where one is missing, or npm ci can't get the packages, the test is skipped and says why; with
// LOOPKEY_TEST_REAL=1 it fails.
package vite

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
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
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	//nolint:gosec // the script is embedded
	node := exec.CommandContext(ctx, "node", "--input-type=module", "--eval", string(script))
	node.Dir = dir // where its imports are
	node.Env = append(os.Environ(), "VITE_ROOT="+folder, "NODE_OPTIONS=", "DEBUG=", "NO_COLOR=1")
	var stderr bytes.Buffer
	node.Stderr = &stderr
	stdin, err := node.StdinPipe() // the script ends at its end, also if this program is killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() {
		_ = stdin.Close()
		cancel()
		_ = node.Wait() // it was killed
	}
	var ready struct{ Port int }
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
		end()
		t.Fatalf("Vite did not start: %v\n%s", err, stderr.String())
	}
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("Vite wrote to stderr:\n%s", stderr.String())
		}
	})
	return fmt.Sprintf("http://127.0.0.1:%d", ready.Port)
}
