package clients_test

import (
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

func TestMain(m *testing.M) { house.Main(m) }

// A gitHome is a home folder of somebody who works with git.
type gitHome struct {
	*house.House
	t   *testing.T
	git string
}

// attempt runs git.
func (g *gitHome) attempt(args ...string) (string, error) {
	env := append(g.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada",
		"GIT_COMMITTER_EMAIL=ada@example.com")
	return clients.Output(g.Dir, env, g.git, args...) //nolint:wrapcheck // a test
}

// must runs git, which has to succeed.
func (g *gitHome) must(args ...string) string {
	g.t.Helper()
	out, err := g.attempt(args...)
	if err != nil {
		g.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

// forge returns a git server with one empty repository, and a home where git is configured for it.
func forge(t *testing.T, challenges ...string) (*gitHome, *clients.Server) {
	t.Helper()
	git := clients.Need(t, "git", true)
	root := t.TempDir()
	path, err := exec.Command(git, "--exec-path").Output() //nolint:noctx // it answers at once
	if err != nil {
		t.Fatal(err)
	}
	backend := filepath.Join(strings.TrimSpace(string(path)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		part.Missing(t, "git has no server here: %v", err)
	}
	g := &gitHome{House: clients.LoggedIn(t), t: t, git: git}
	server := clients.Serve(t, g.House, &cgi.Handler{
		Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=ada"},
	}, challenges...)
	g.must("init", "-q", "--bare", filepath.Join(root, "team.git"))
	g.must("config", "--global", "http.sslCAInfo", server.CA)
	g.must("config", "--global", "init.defaultBranch", "main")
	g.Configure(g.Tenant.Issuer(), clients.Block(t, "git.md", "toml", "git.acme.example", server.Host))
	addLines(t, filepath.Join(g.Dir, ".gitconfig"), clients.Block(t, "git.md", "ini", "git.acme.example", server.Host))
	return g, server
}

// addLines writes lines at the end of a file.
func addLines(t *testing.T, path, lines string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(lines); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A clone, a commit and a push with the lines of docs/tools/git.md, at a server that takes the token as a password.
func TestGitBasic(t *testing.T) {
	t.Parallel()
	g, server := forge(t, `Basic realm="forge"`)
	g.work(server)
	if forms := server.Accepted(); forms[0] != "Basic oauth2" {
		t.Errorf("the server was given %v", forms)
	}
}

// A server that takes bearer tokens gets one, from a git that can send one.
func TestGitBearer(t *testing.T) {
	t.Parallel()
	g, server := forge(t, `Basic realm="forge"`, `Bearer realm="forge"`)
	if out, err := g.attempt("credential", "capability"); err != nil || !strings.Contains(out, "authtype") {
		// Also with LOOPKEY_TEST_REAL: Debian 12's git is older.
		t.Skip("this git sends no bearer tokens: it wants git 2.46")
	}
	g.work(server)
	if forms := server.Accepted(); forms[0] != "Bearer" {
		t.Errorf("the server was given %v", forms)
	}
}

// work clones, commits and pushes.
func (g *gitHome) work(server *clients.Server) {
	g.t.Helper()
	remote, clone := server.URL+"/team.git", filepath.Join(g.Dir, "team")
	g.must("clone", "-q", remote, clone)
	g.must("-C", clone, "commit", "-q", "--allow-empty", "-m", "first")
	g.must("-C", clone, "push", "-q", "origin", "HEAD:main")
	if out := g.must("ls-remote", remote); !strings.Contains(out, "refs/heads/main") {
		g.t.Errorf("the push did not arrive: %s", out)
	}
	if n := g.Tenant.Requests("token"); n != 0 {
		g.t.Errorf("%d token requests for a token that is good", n)
	}
}

// The server refuses the token: this command fails, the next one has a new token, and nothing asks for a password.
func TestGitRefused(t *testing.T) {
	t.Parallel()
	g, server := forge(t, `Basic realm="forge"`)
	refused := strings.TrimSpace(g.Must("token"))
	server.Refuse(func(token string) bool { return token == refused })
	if out, err := g.attempt("ls-remote", server.URL+"/team.git"); err == nil {
		t.Fatalf("the server took a token that it refuses: %s", out)
	}
	g.must("ls-remote", server.URL+"/team.git")
	if n := g.Tenant.Requests("token"); n != 1 {
		t.Errorf("%d token requests, not 1", n)
	}
}

// Nobody is logged in: git says what to do, and does not ask for a username.
func TestGitLoggedOut(t *testing.T) {
	t.Parallel()
	g, server := forge(t, `Basic realm="forge"`)
	g.Must("logout", "--local")
	out, err := g.attempt("ls-remote", server.URL+"/team.git")
	if err == nil || !strings.Contains(out, "run loopkey login") || strings.Contains(out, "Username") {
		t.Errorf("git says %q", out)
	}
}
