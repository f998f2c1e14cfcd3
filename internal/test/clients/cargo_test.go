package clients_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A cargoHome is a home folder of somebody who gets crates from a private registry.
type cargoHome struct {
	*house.House
	t          *testing.T
	server     *clients.Server
	cargo, dir string
	rust       string // where rustup keeps what it installed
}

// crates returns a registry that wants a token, and a home where cargo is configured for it with the lines of cargo.md.
func crates(t *testing.T) *cargoHome {
	t.Helper()
	c := &cargoHome{t: t, cargo: clients.Need(t, "cargo", false), dir: t.TempDir()}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	c.rust = cmp.Or(os.Getenv("RUSTUP_HOME"), filepath.Join(home, ".rustup"))
	c.House = clients.LoggedIn(t)
	crate := crateOf(t)
	c.server = clients.Serve(t, c.House, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/index/config.json":
			_, _ = fmt.Fprintf(w, `{"dl":"https://%s/dl","auth-required":true}`, r.Host)
		case "/index/he/ll/hello":
			_, _ = fmt.Fprintf(w, `{"name":"hello","vers":"1.0.0","deps":[],"cksum":"%x","features":{},"yanked":false}`+"\n",
				sha256.Sum256(crate))
		case "/dl/hello/1.0.0/download":
			_, _ = w.Write(crate)
		default:
			http.NotFound(w, r)
		}
	}), "Bearer")
	if out, err := c.run("--version"); err != nil || strings.HasPrefix(out, "cargo 0.") {
		t.Skipf("cargo has no credential providers: %v %s", err, out) // Also with LOOPKEY_TEST_REAL: CI does not install it.
	}
	c.list(c.server.Host)
	if err := os.Mkdir(filepath.Join(c.Dir, ".cargo"), 0o700); err != nil {
		t.Fatal(err)
	}
	addLines(t, filepath.Join(c.Dir, ".cargo", "config.toml"),
		clients.Block(t, "cargo.md", "cargo", "cargo.acme.example", c.server.Host))
	addLines(t, filepath.Join(c.dir, "Cargo.toml"), "[package]\nname = \"user\"\nversion = \"0.1.0\"\n"+
		"edition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[dependencies]\nhello = { version = \"1\", registry = \"acme\" }\n")
	addLines(t, filepath.Join(c.dir, "lib.rs"), "")
	return c
}

// list lists a host in the profile, as cargo.md has it.
func (c *cargoHome) list(host string) {
	c.t.Helper()
	c.Configure(c.Tenant.Issuer(), clients.Block(c.t, "cargo.md", "toml", "cargo.acme.example", host))
}

// crateOf returns the crate hello in version 1.0.0.
func crateOf(t *testing.T) []byte {
	t.Helper()
	const manifest = "[package]\nname = \"hello\"\nversion = \"1.0.0\"\nedition = \"2021\"\n"
	return clients.Archive(t, [2]string{"hello-1.0.0/Cargo.toml", manifest}, [2]string{"hello-1.0.0/src/lib.rs", ""})
}

// run runs cargo.
func (c *cargoHome) run(args ...string) (string, error) {
	env := append(c.Env, "CARGO_HTTP_CAINFO="+c.server.CA, "CARGO_NET_RETRY=0", "RUSTUP_HOME="+c.rust,
		"CARGO_HOME="+filepath.Join(c.Dir, ".cargo"), "CARGO_TERM_COLOR=never")
	return clients.Output(c.dir, env, c.cargo, args...) //nolint:wrapcheck // a test
}

// cargo gets the index and a crate of a private registry.
func TestCargo(t *testing.T) {
	t.Parallel()
	c := crates(t)
	if out, err := c.run("fetch"); err != nil || strings.Contains(out, "loopkey: ") {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := len(c.server.Accepted()); n < 3 {
		t.Errorf("%d requests with a token", n)
	}
	if n := c.Tenant.Requests("token"); n != 0 {
		t.Errorf("%d token requests for a token that is good", n)
	}
	if out, err := c.run("logout", "--registry", "acme"); err == nil {
		t.Errorf("cargo logout: %s", out)
	}
	c.Must("status")
}

// cargo shows that nobody is logged in. A registry that is not listed gets no token.
func TestCargoNothing(t *testing.T) {
	t.Parallel()
	c := crates(t)
	c.list("other.example")
	if out, err := c.run("fetch"); err == nil || len(c.server.Accepted()) > 0 {
		t.Errorf("a registry that is not listed: %v\n%s", err, out)
	}
	c.list(c.server.Host)
	c.Must("logout", "--local")
	if out, err := c.run("fetch"); err == nil || !strings.Contains(out, "nobody is logged in: run loopkey login") {
		t.Errorf("nobody is logged in: %v\n%s", err, out)
	}
}
