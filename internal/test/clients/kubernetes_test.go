package clients_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A cluster is what kubectl takes for an API server: it has one config map, for whoever has an ID token that the tenant
// signed for the client.
type cluster struct {
	*httptest.Server
	mu               sync.Mutex
	accepted, denied int
}

// counts returns how many requests the cluster accepted and denied.
func (c *cluster) counts() (accepted, denied int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted, c.denied
}

// paths are what the API server replies to kubectl.
var paths = map[string]string{
	"/api":  `{"kind":"APIVersions","versions":["v1"]}`,
	"/apis": `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`,
	"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"configmaps","singularName":"",` +
		`"namespaced":true,"kind":"ConfigMap","verbs":["get","list"],"shortNames":["cm"]}]}`,
	"/api/v1/namespaces/default/configmaps": `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{},"items":[` +
		`{"metadata":{"name":"engine","namespace":"default","creationTimestamp":"2026-01-01T00:00:00Z"}}]}`,
}

// startCluster starts a cluster for the house's tenant.
func startCluster(t *testing.T, h *house.House) *cluster {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), h.Tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.VerifierContext(t.Context(), &oidc.Config{ClientID: house.Client})
	c := &cluster{}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, err := verifier.Verify(r.Context(), token)
		c.mu.Lock()
		if err == nil {
			c.accepted++
		} else {
			c.denied++
		}
		c.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		reply, known := paths[r.URL.Path]
		switch {
		case err != nil:
			w.WriteHeader(http.StatusUnauthorized)
			reply = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`
		case !known:
			w.WriteHeader(http.StatusNotFound)
			reply = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
		}
		_, _ = io.WriteString(w, reply)
	}))
	t.Cleanup(c.Close)
	return c
}

// A kubectl is kubectl in the house of somebody who has one cluster.
type kubectl struct {
	*house.House
	t       *testing.T
	program string
	old     bool // kubectl is older than 1.22
	cluster *cluster
}

// kubectlFor returns kubectl in a house where the API server is listed and nobody is logged in. The user of the
// kubeconfig is a block of YAML on the page, the first or the second.
func kubectlFor(t *testing.T, block int) *kubectl {
	t.Helper()
	k := &kubectl{t: t, program: clients.Need(t, "kubectl", true)}
	h := house.WithTenant(t)
	k.cluster = startCluster(t, h)
	host := strings.TrimPrefix(k.cluster.URL, "https://")
	h.Configure(h.Tenant.Issuer(), "[[profile.default.hosts]]", `host = "`+host+`"`)
	programs := house.Programs(t)
	if err := os.Symlink(k.program, filepath.Join(programs, "kubectl")); err != nil { // which is itself run by kubectl
		t.Fatal(err)
	}
	k.House = h.With("PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"),
		"KUBECONFIG="+filepath.Join(h.Dir, "kubeconfig"))
	version, err := exec.Command(k.program, "version", "--client").CombinedOutput() //nolint:noctx // it answers at once
	if err != nil {
		t.Fatalf("kubectl version: %v: %s", err, version)
	}
	k.old = regexp.MustCompile(`v1\.(1[0-9]|2[01])\.`).Match(version)
	user := clients.BlockAt(t, "kubernetes.md", "yaml", block, "https://login.acme.example", h.Tenant.Issuer(),
		"--oidc-client-id=kubernetes", "--oidc-client-id="+house.Client)
	if k.old {
		user = strings.ReplaceAll(user, "k8s.io/v1", "k8s.io/v1beta1")
	}
	k.configure(user)
	return k
}

// configure writes the kubeconfig.
func (k *kubectl) configure(user string) {
	k.t.Helper()
	authority := filepath.Join(k.Dir, "cluster.pem")
	name := "loopkey"
	if strings.Contains(user, "- name: oidc") {
		name = "oidc"
	}
	for path, content := range map[string]string{
		authority: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.cluster.Certificate().Raw})),
		filepath.Join(k.Dir, "kubeconfig"): "apiVersion: v1\nkind: Config\ncurrent-context: test\n" +
			"clusters:\n- name: test\n  cluster: {server: " + k.cluster.URL + ", certificate-authority: " + authority + "}\n" +
			"contexts:\n- name: test\n  context: {cluster: test, user: " + name + "}\n" + user,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
}

// command returns a run of kubectl.
func (k *kubectl) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.program, args...)
	cmd.Dir, cmd.Env = k.Dir, k.Env
	return cmd
}

// run runs kubectl.
func (k *kubectl) run(args ...string) house.Result {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := k.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // its error is the exit code
	return house.Result{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
}

// gets asks for the config maps, which must come with nothing on stderr.
func (k *kubectl) gets() {
	k.t.Helper()
	if r := k.run("get", "configmaps"); r.Code != 0 || !strings.Contains(r.Stdout, "engine") || r.Stderr != "" {
		k.t.Errorf("kubectl exits %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// expire leaves the session with an ID token that has expired.
func (k *kubectl) expire() {
	k.t.Helper()
	k.Tenant.SetIDTokenLifetime(-30 * time.Second) // loopkey takes that for a clock that is wrong by so much
	k.Run("token", "--id-token", "--force-refresh")
	k.Tenant.SetIDTokenLifetime(time.Hour)
	k.Tenant.Reset()
}

// kubectl gets the ID token, of a session that anybody made, for a listed API server alone.
func TestKubectl(t *testing.T) {
	t.Parallel()
	k := kubectlFor(t, 0)

	// Nobody is logged in, and nobody is there: kubectl shows what to do, and opens no tab.
	r := k.run("get", "configmaps")
	if r.Code == 0 || !strings.Contains(r.Stderr, "nobody is logged in: run loopkey login") ||
		!strings.Contains(r.Stderr, "exit code 3") && !k.old {
		t.Errorf("kubectl exits %d: %s", r.Code, r.Stderr)
	}
	if n := k.Tenant.Requests("authorize"); n != 0 {
		t.Errorf("the browser was sent to the provider %d times", n)
	}

	k.Must("login")
	k.Tenant.Reset()
	k.gets()
	if accepted, denied := k.cluster.counts(); accepted == 0 || denied != 0 {
		t.Errorf("%d requests had an ID token, %d had none", accepted, denied)
	}
	if n := k.Tenant.Requests("token"); n != 0 {
		t.Errorf("%d requests to the provider for a good token", n)
	}

	// Five at once on an expired token: one renewal.
	k.expire()
	var all sync.WaitGroup
	for range 5 {
		all.Go(k.gets)
	}
	all.Wait()
	if n := k.Tenant.Requests("token"); n != 1 {
		t.Errorf("%d renewals for five kubectl", n)
	}

	// The session has ended.
	k.expire()
	k.Tenant.RevokeAll("ada")
	r = k.run("get", "--raw", "/api")
	if r.Code == 0 || !strings.Contains(r.Stderr, "can't be renewed") || !strings.Contains(r.Stderr, "run loopkey login") {
		t.Errorf("kubectl exits %d: %s", r.Code, r.Stderr)
	}
	if _, denied := k.cluster.counts(); k.Tenant.Requests("authorize") != 0 || denied != 0 {
		t.Errorf("%d tabs, and %d requests without a good token", k.Tenant.Requests("authorize"), denied)
	}
}

// The line that writes the user into the kubeconfig writes one that works. A cluster that is not listed gets nothing.
func TestKubectlLines(t *testing.T) {
	t.Parallel()
	k := kubectlFor(t, 0)
	if k.old {
		t.Skip("this kubectl has no --exec-interactive-mode") // Also with LOOPKEY_TEST_REAL: Debian 12's kubectl is older.
	}
	k.configure("")
	k.Must("login")
	lines := exec.CommandContext(t.Context(), "sh", "-euc", clients.Block(t, "kubernetes.md", "sh"))
	lines.Env = k.Env
	if out, err := lines.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	k.gets()

	k.Configure(k.Tenant.Issuer(), "[[profile.default.hosts]]", `host = "127.0.0.1"`)
	accepted, denied := k.cluster.counts() // kubectl of Google Cloud looks at the server as it is configured
	r := k.run("get", "--raw", "/api")
	if r.Code == 0 || !strings.Contains(r.Stderr, "the host is not listed: "+k.cluster.URL) {
		t.Errorf("kubectl exits %d: %s", r.Code, r.Stderr)
	}
	if a, d := k.cluster.counts(); a != accepted || d != denied {
		t.Errorf("%d requests came with a token, %d without", a-accepted, d-denied)
	}
}

// An API server that is configured with the audience of an API gets the access token.
func TestKubectlAccessToken(t *testing.T) {
	t.Parallel()
	k := kubectlFor(t, 0)
	k.Must("login")
	server := clients.Serve(t, k.House, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{}")
	}), "Bearer")
	k.Configure(k.Tenant.Issuer(), "[[profile.default.hosts]]", `host = "`+server.Host+`"`, `token = "access"`)
	r := k.run("--server", server.URL, "--certificate-authority", server.CA, "get", "--raw", "/api")
	if r.Code != 0 || r.Stderr != "" || len(server.Accepted()) == 0 || server.Denied() > 0 {
		t.Errorf("kubectl exits %d: %s; %d denied", r.Code, r.Stderr, server.Denied())
	}
}

// A kubeconfig for kubelogin works unchanged with a link, and with loopkey as its command.
func TestKubelogin(t *testing.T) {
	t.Parallel()
	k := kubectlFor(t, 1)
	k.Must("login")
	k.Tenant.Reset()
	k.gets()
	config := filepath.Join(k.Dir, "kubeconfig")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("command: kubectl"), []byte("command: loopkey"), 1)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	k.gets()
	if n := k.Tenant.Requests("token"); n != 0 {
		t.Errorf("%d requests to the provider for a good token", n)
	}

	// Another client is another session.
	text = bytes.Replace(text, []byte("--oidc-client-id="+house.Client), []byte("--oidc-client-id=other"), 1)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r := k.run("get", "--raw", "/api")
	if r.Code == 0 || !strings.Contains(r.Stderr, "run loopkey login --issuer "+k.Tenant.Issuer()+" --client-id other") {
		t.Errorf("kubectl exits %d: %s", r.Code, r.Stderr)
	}
}
