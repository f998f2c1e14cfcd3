package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/clients"
)

// The Bazel that Debian has knows no credential helpers, so this is what a newer one does, by the specification: it
// finds the helper in its configuration, runs it with get in the workspace, sends the header fields of the reply with
// its request, and keeps them until they expire.
func TestBazel(t *testing.T) {
	t.Parallel()
	h := clients.LoggedIn(t)
	server := clients.Serve(t, h, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "Bearer")
	h.Configure(h.Tenant.Issuer(), clients.Block(t, "bazel.md", "toml", "*.build.acme.example", server.Host))
	lines := clients.Block(t, "bazel.md", "sh", "/usr/local/bin", h.Dir)
	link := exec.CommandContext(t.Context(), "sh", "-c", lines)
	link.Env = h.Env
	if out, err := link.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", lines, err, out)
	}
	helper := bazelHelper(t, clients.Block(t, "bazel.md", "bazelrc", "/usr/local/bin", h.Dir))

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	uri := server.URL + "/cas/0a0b"
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, helper, "get")
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.Env, t.TempDir(), &out, &errs
	cmd.Stdin = strings.NewReader(`{"uri":"` + uri + `"}`)
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%v, and on stderr %q", err, errs.String())
	}
	var reply struct {
		Headers map[string][]string
		Expires time.Time
	}
	if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(reply.Expires); left <= 0 || left > time.Hour {
		t.Errorf("the reply may be kept for %s", left)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range reply.Headers {
		for _, value := range values {
			request.Header.Add(name, value)
		}
	}
	response, err := server.Client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the server says %s", response.Status)
	}
}

// bazelHelper returns the helper in a line of .bazelrc.
func bazelHelper(t *testing.T, line string) string {
	t.Helper()
	_, value, ok := strings.Cut(strings.TrimSpace(line), "common --credential_helper=")
	_, helper, named := strings.Cut(value, "=")
	if !ok || !named || !filepath.IsAbs(helper) {
		t.Fatalf("no helper in %q", line)
	}
	return helper
}
