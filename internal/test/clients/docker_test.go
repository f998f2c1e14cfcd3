package clients_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// An image is pushed and pulled with the lines of docs/tools/docker.md, by docker's own client code. The registry's
// token service gives a token of its own for loopkey's.
func TestDocker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds a client of registries")
	}
	client := buildDocker(t)
	h := clients.LoggedIn(t)
	server := registry(t, h, client)
	h.Configure(h.Tenant.Issuer(), clients.Block(t, "docker.md", "toml", "registry.acme.example", server.Host))
	config := clients.Block(t, "docker.md", "json", "registry.acme.example", server.Host)
	if err := os.WriteFile(filepath.Join(h.Dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h = h.With("DOCKER_CONFIG="+h.Dir, "SSL_CERT_FILE="+server.CA)
	image := server.Host + "/team/image:1"
	docker := func(args ...string) house.Result {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, client, args...)
		cmd.Env = h.Env
		return h.Finish(cmd)
	}
	if r := docker("push", image); r.Code != 0 {
		t.Fatalf("push: %s", r.Stderr)
	}
	if r := docker("pull", image); r.Code != 0 || !strings.HasPrefix(r.Stdout, "sha256:") {
		t.Errorf("pull: %s%s", r.Stdout, r.Stderr)
	}
	if forms := server.Accepted(); len(forms) == 0 || forms[0] != "Basic oauth2" {
		t.Errorf("the token service was given %v", forms)
	}
	if n := h.Tenant.Requests("token"); n != 0 {
		t.Errorf("%d token requests for a token that is good", n)
	}
	h.Must("logout", "--local")
	if r := docker("pull", image); r.Code == 0 || !strings.Contains(r.Stderr, "run loopkey login") {
		t.Errorf("nobody is logged in, and docker says: %s%s", r.Stdout, r.Stderr)
	}
}

// buildDocker builds the client.
func buildDocker(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "docker")
	build := exec.Command(clients.Need(t, "go", true), "build", "-o", path, ".") //nolint:noctx // go test's limit is its
	build.Dir = filepath.Join("testdata", "docker")
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the client: %v\n%s", err, out)
	}
	return path
}

// registry returns a registry with a token service, as the distribution specification has it.
func registry(t *testing.T, h *house.House, client string) *clients.Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, client, "serve")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	target := &url.URL{Scheme: "http", Host: strings.TrimSpace(address)}
	images := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	const granted = "token-of-the-registry"
	tokens := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"token": "` + granted + `"}`))
	})
	server := clients.Serve(t, h, tokens, `Basic realm="tokens"`)
	server.Open(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/v2/"):
			return false
		case r.Header.Get("Authorization") == "Bearer "+granted:
			images.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+server.URL+`/token",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		return true
	})
	return server
}
