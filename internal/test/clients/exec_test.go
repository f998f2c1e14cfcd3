package clients_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/clients"
)

// npm gets the token by the lines of docs/tools/exec.md.
func TestExecNpm(t *testing.T) {
	t.Parallel()
	clients.Need(t, "npm", true)
	h := clients.LoggedIn(t)
	server := clients.Serve(t, h, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"name": "acme", "dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": {"name": "acme", ` +
			`"version": "1.2.3", "dist": {"tarball": "https://npm.acme.example/acme.tgz"}}}}`))
	}), `Bearer realm="npm"`)
	npmrc := clients.Block(t, "exec.md", "ini", "npm.acme.example", server.Host)
	if err := os.WriteFile(filepath.Join(h.Dir, ".npmrc"), []byte(npmrc), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", clients.Block(t, "exec.md", "sh", "npm.acme.example", server.Host))
	cmd.Dir = h.Dir
	cmd.Env = append(h.Env,
		"npm_config_cafile="+server.CA, "npm_config_update_notifier=false", "npm_config_fetch_retries=0")
	if r := h.Finish(cmd); r.Code != 0 || strings.TrimSpace(r.Stdout) != "1.2.3" {
		t.Errorf("npm exits %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if forms := server.Accepted(); len(forms) == 0 || forms[0] != "Bearer" {
		t.Errorf("the registry was given %v", forms)
	}
}
