// Package mcpsdk runs the MCP servers and hosts of the reference SDK for tests.
//
// It needs node and npm. Where one is missing, or npm ci can't get the packages, the test is skipped and says why; with
// LOOPKEY_TEST_REAL=1 it fails.
package mcpsdk

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/loopkey/loopkey/internal/test/npm"
)

//go:embed server.mjs auth.mjs host.mjs package.json package-lock.json .npmrc
var files embed.FS

// Modes returns the ways in which the server speaks; server.mjs says what they are.
func Modes() []string { return []string{"stateful", "resumable", "json", "stateless", "sse", "modern"} }

func run(t testing.TB, script string, env ...string) io.Reader {
	t.Helper()
	dir := npm.Install(t, "mcpsdk", files)
	text, err := files.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	return npm.Run(t, script, dir, text, env...)
}

// Server starts a server until the test ends, and returns the URL of its endpoint.
func Server(t testing.TB, mode string) string {
	t.Helper()
	return endpoint(t, run(t, "server.mjs", "MODE="+mode))
}

// Authorized starts a server that wants a token of its own authorization server, where the person agrees to everything.
// It runs until the test ends. Authorized returns the URL of its endpoint; auth.mjs says what it has beside that.
func Authorized(t testing.TB) string {
	t.Helper()
	return endpoint(t, run(t, "auth.mjs"))
}

// endpoint returns the URL of a server that says its port on stdout.
func endpoint(t testing.TB, stdout io.Reader) string {
	t.Helper()
	var ready struct{ Port int }
	if err := json.NewDecoder(stdout).Decode(&ready); err != nil {
		t.Fatalf("the MCP server did not start: %v", err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d/mcp", ready.Port)
}

// Host runs a host whose MCP server is a command that leads to the server at url. The first thing that it does and that
// fails ends the test.
func Host(t testing.TB, mode, url string, command []string, env ...string) {
	t.Helper()
	argv, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	steps := json.NewDecoder(run(t, "host.mjs", append(slices.Clone(env),
		"MODE="+mode, "COMMAND="+string(argv), "CONTROL="+url)...))
	for {
		var s struct {
			Step  string
			OK    bool
			Error string
		}
		if err := steps.Decode(&s); err != nil {
			t.Fatalf("the MCP host ended too early: %v", err)
		}
		if s.Step == "end" {
			return
		}
		if !s.OK {
			t.Fatalf("%s: %s", s.Step, s.Error)
		}
	}
}
