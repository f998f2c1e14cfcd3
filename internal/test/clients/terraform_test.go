package clients_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A tfHome is a home folder of somebody who gets modules from a private registry.
type tfHome struct {
	*house.House
	t         *testing.T
	server    *clients.Server
	terraform string
	dir       string // a configuration that uses a module of the registry
}

// tfRegistry returns a registry that wants a token, and a home where Terraform is configured for it with the lines of
// terraform.md.
func tfRegistry(t *testing.T) *tfHome {
	t.Helper()
	tf := &tfHome{t: t, terraform: clients.Need(t, "terraform", false), dir: t.TempDir()}
	tf.House = clients.LoggedIn(t)
	tf.server = clients.Serve(t, tf.House, http.HandlerFunc(serveTerraform), "Bearer")
	tf.server.Open(func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/.well-known/terraform.json":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"modules.v1":"/modules/"}`))
		case "/archive.tar.gz": // what a registry points to gets no token of the registry's
			if r.Header.Get("Authorization") != "" {
				t.Error("the archive was asked for with a token")
			}
			_, _ = w.Write(tfArchive(t))
		default:
			return false
		}
		return true
	})
	tf.list(tf.server.Host)
	lines := exec.CommandContext(t.Context(), "sh", "-e", "-c", clients.Block(t, "terraform.md", "sh"))
	lines.Env = tf.Env
	if out, err := lines.CombinedOutput(); err != nil {
		t.Fatalf("the lines of terraform.md: %v\n%s", err, out)
	}
	addLines(t, filepath.Join(tf.Dir, ".terraformrc"), clients.Block(t, "terraform.md", "hcl"))
	addLines(t, filepath.Join(tf.dir, "main.tf"),
		"module \"hello\" {\n  source  = \""+tf.server.Host+"/acme/hello/test\"\n  version = \"1.0.0\"\n}\n")
	return tf
}

// list lists a host in the profile, as terraform.md has it.
func (tf *tfHome) list(host string) {
	tf.t.Helper()
	tf.Configure(tf.Tenant.Issuer(), clients.Block(tf.t, "terraform.md", "toml", "tf.acme.example", host))
}

// serveTerraform is a registry with the module acme/hello/test in version 1.0.0.
func serveTerraform(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/modules/acme/hello/test/versions":
		_, _ = w.Write([]byte(`{"modules":[{"versions":[{"version":"1.0.0"}]}]}`))
	case "/modules/acme/hello/test/1.0.0/download":
		w.Header().Set("X-Terraform-Get", "https://"+r.Host+"/archive.tar.gz")
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

// tfArchive returns the module.
func tfArchive(t *testing.T) []byte {
	t.Helper()
	return clients.Archive(t, [2]string{"main.tf", "output \"hello\" {\n  value = \"hello\"\n}\n"})
}

// run runs terraform.
func (tf *tfHome) run(args ...string) (string, error) {
	env := append(tf.Env, "SSL_CERT_FILE="+tf.server.CA, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1",
		"TF_CLI_ARGS=-no-color")
	return clients.Output(tf.dir, env, tf.terraform, args...) //nolint:wrapcheck // a test
}

// Terraform gets a module of a private registry. terraform logout leaves the session, and the next token is a new one.
func TestTerraform(t *testing.T) {
	t.Parallel()
	tf := tfRegistry(t)
	if out, err := tf.run("init"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if forms := tf.server.Accepted(); len(forms) != 2 || tf.server.Denied() != 0 {
		t.Errorf("the registry was given %v, and refused %d requests", forms, tf.server.Denied())
	}
	if n := tf.Tenant.Requests("token"); n != 0 {
		t.Errorf("%d token requests for a token that is good", n)
	}
	tf.Age(time.Minute)
	before := tf.Must("token")
	if out, err := tf.run("logout", tf.server.Host); err != nil {
		t.Errorf("terraform logout: %v\n%s", err, out)
	}
	if after := tf.Must("token"); after == before || tf.Tenant.Requests("token") != 1 {
		t.Errorf("after terraform logout: %d token requests", tf.Tenant.Requests("token"))
	}
}

// A registry that is not listed gets no token. With nobody logged in, the log says so.
func TestTerraformNothing(t *testing.T) {
	t.Parallel()
	tf := tfRegistry(t)
	tf.list("other.example")
	if out, err := tf.run("init"); err == nil || strings.Contains(out, "loopkey: ") || len(tf.server.Accepted()) > 0 {
		t.Errorf("a registry that is not listed: %v\n%s", err, out)
	}
	tf.list(tf.server.Host)
	tf.Must("logout", "--local")
	tf.Env = append(tf.Env, "TF_LOG=debug", "TF_LOG_PATH="+filepath.Join(tf.Dir, "log"))
	out, err := tf.run("init")
	logged, readErr := os.ReadFile(filepath.Join(tf.Dir, "log"))
	if readErr != nil {
		t.Fatal(readErr)
	}
	if err == nil || !strings.Contains(string(logged), "run loopkey login") {
		t.Errorf("nobody is logged in: %v\n%s", err, out)
	}
}
