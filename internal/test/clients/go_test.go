package clients_test

import (
	"archive/zip"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A goHome is a home folder of somebody who gets modules from a private proxy.
type goHome struct {
	*house.House
	t      *testing.T
	server *clients.Server
}

// modules returns a proxy that wants a token, and a home where go is configured for it with the lines of go.md.
func modules(t *testing.T) *goHome {
	t.Helper()
	clients.Need(t, "go", true)
	g := &goHome{House: clients.LoggedIn(t), t: t}
	g.server = clients.Serve(t, g.House, http.HandlerFunc(serveModule), `Bearer realm="modules"`)
	g.Configure(g.Tenant.Issuer(), clients.Block(t, "go.md", "toml", "go.acme.example", g.server.Host))
	g.must("sh", "-c", clients.Block(t, "go.md", "sh"))
	return g
}

// serveModule is a module proxy with example.test/hello in version v1.0.0.
func serveModule(w http.ResponseWriter, r *http.Request) {
	const mod = "module example.test/hello\n"
	switch r.URL.Path {
	case "/example.test/hello/@v/v1.0.0.info":
		_, _ = w.Write([]byte(`{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}`))
	case "/example.test/hello/@v/v1.0.0.mod":
		_, _ = w.Write([]byte(mod))
	case "/example.test/hello/@v/v1.0.0.zip":
		var archive bytes.Buffer
		z := zip.NewWriter(&archive)
		if f, err := z.Create("example.test/hello@v1.0.0/go.mod"); err == nil {
			_, _ = f.Write([]byte(mod))
		}
		_ = z.Close()
		_, _ = w.Write(archive.Bytes())
	default:
		http.NotFound(w, r)
	}
}

// attempt runs a program for somebody whose modules are in an empty cache.
func (g *goHome) attempt(args ...string) (string, error) {
	env := append(g.Env, "GOMODCACHE="+g.t.TempDir(), "GOFLAGS=-modcacherw", "GOTOOLCHAIN=local", "GONOSUMDB=*",
		"GOPROXY="+g.server.URL, "SSL_CERT_FILE="+g.server.CA)
	return clients.Output(g.Dir, env, args[0], args[1:]...) //nolint:wrapcheck // a test
}

// must runs a program, which has to succeed.
func (g *goHome) must(args ...string) {
	g.t.Helper()
	if out, err := g.attempt(args...); err != nil {
		g.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

const wantedModule = "example.test/hello@v1.0.0"

// go downloads a module with the first requests that it makes: the token is offered before anybody asks for one.
func TestGo(t *testing.T) {
	t.Parallel()
	g := modules(t)
	g.must("go", "mod", "download", "-x", wantedModule)
	if n := g.server.Denied(); n != 0 {
		t.Errorf("%d requests came without a token", n)
	}
	if out, err := g.attempt("go", "mod", "download", "example.test/hello@v9.9.9"); err == nil {
		t.Errorf("a version that does not exist: %s", out)
	}
	if n := g.Tenant.Requests("token"); n != 0 {
		t.Errorf("%d token requests for a token that is good, and a 404", n)
	}
	g.Expire()
	g.must("go", "mod", "download", wantedModule)
	if n := g.Tenant.Requests("token"); n != 1 {
		t.Errorf("%d token requests for a token that has expired", n)
	}
}

// The server refuses the token with 401: it is renewed, and go asks once more with the new one.
func TestGoRefused(t *testing.T) {
	t.Parallel()
	g := modules(t)
	refused := strings.TrimSpace(g.Must("token"))
	g.server.Refuse(func(token string) bool { return token == refused })
	g.Age(time.Minute) // a younger token may be the successor of a refused one
	g.must("go", "mod", "download", wantedModule)
	if n := g.Tenant.Requests("token"); n != 1 {
		t.Errorf("%d token requests for one that was refused", n)
	}
}

// Nobody is logged in: -x shows it. A host that is not listed gets no token.
func TestGoNothing(t *testing.T) {
	t.Parallel()
	g := modules(t)
	g.Configure(g.Tenant.Issuer(), "[[profile.default.hosts]]", `host = "other.example"`)
	if out, err := g.attempt("go", "mod", "download", "-x", wantedModule); err == nil || strings.Contains(out, "loopkey") {
		t.Errorf("a server that is not listed: %v\n%s", err, out)
	}
	if n := len(g.server.Accepted()); n != 0 {
		t.Errorf("%d tokens for a server that is not listed", n)
	}
	g.Configure(g.Tenant.Issuer(), clients.Block(t, "go.md", "toml", "go.acme.example", g.server.Host))
	g.Must("logout", "--local")
	if out, err := g.attempt("go", "mod", "download", "-x", wantedModule); err == nil ||
		!strings.Contains(out, "nobody is logged in: run loopkey login") {
		t.Errorf("nobody is logged in: %v\n%s", err, out)
	}
}
