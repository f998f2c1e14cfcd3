// Package clients tests loopkey with the tools that ask it for credentials: each tool as it is installed, configured
// with the lines of its page in docs/tools, against a server that asks the provider whether it accepts the token.
package clients

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// A Server is a service that wants a token, over TLS.
type Server struct {
	URL    string       // https://127.0.0.1:PORT
	Host   string       // 127.0.0.1:PORT
	CA     string       // the file with its certificate
	Client *http.Client // trusts the server

	mu       sync.Mutex
	refuse   func(token string) bool
	open     func(w http.ResponseWriter, r *http.Request) bool
	accepted []string
	denied   int
}

// Refuse makes the server refuse tokens although the provider accepts them.
func (s *Server) Refuse(refuse func(token string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

// Open has open respond to requests that want no token of the provider. It returns false for all others.
func (s *Server) Open(open func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = open
}

// Accepted returns the forms in which the server was given tokens that it accepted, such as "Bearer" or "Basic oauth2".
func (s *Server) Accepted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.accepted)
}

// Denied returns how many requests the server refused.
func (s *Server) Denied() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied
}

// Serve starts a server that challenges with the WWW-Authenticate fields, and lets through whoever comes with an access
// token of the house's provider: as a bearer token if a field offers that, as a password if a field offers Basic.
func Serve(t *testing.T, h *house.House, next http.Handler, challenges ...string) *Server {
	t.Helper()
	s := &Server{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		open, refuse := s.open, s.refuse
		s.mu.Unlock()
		if open != nil && open(w, r) {
			return
		}
		form, token := given(r, challenges)
		ok := token != "" && (refuse == nil || !refuse(token)) && isAccepted(r, h, token)
		s.mu.Lock()
		if ok {
			s.accepted = append(s.accepted, form)
		} else {
			s.denied++
		}
		s.mu.Unlock()
		if !ok {
			for _, c := range challenges {
				w.Header().Add("WWW-Authenticate", c)
			}
			http.Error(w, "this wants a token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.Client = server.Client()
	s.URL, s.Host = server.URL, strings.TrimPrefix(server.URL, "https://")
	s.CA = filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(s.CA, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// given returns the token of a request, and the form in which it came, if that is one of the challenges.
func given(r *http.Request, challenges []string) (form, token string) {
	offers := func(scheme string) bool {
		for _, c := range challenges {
			if first, _, _ := strings.Cut(c, " "); first == scheme {
				return true
			}
		}
		return false
	}
	if user, password, ok := r.BasicAuth(); ok && offers("Basic") {
		return "Basic " + user, password
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && offers("Bearer") {
		return "Bearer", token
	}
	return "", ""
}

// isAccepted asks the provider's UserInfo endpoint about a token.
func isAccepted(r *http.Request, h *house.House, token string) bool {
	endpoint := strings.TrimSuffix(h.Tenant.Issuer(), "/") + "/userinfo"
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Need returns the path of a program, or skips the test. If CI installs the program, its absence is a failure.
func Need(t *testing.T, program string, inCI bool) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && inCI {
		part.Missing(t, "%s is not installed", program)
	}
	if err != nil {
		t.Skipf("%s is not installed", program) // Also with LOOPKEY_TEST_REAL: CI does not install it.
	}
	return path
}

// Output runs a tool in a folder, for five minutes at most, and returns all that it prints.
func Output(dir string, env []string, tool string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, args...) //nolint:gosec // the tool that a test names
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	return string(out), err //nolint:wrapcheck // the tool's own
}

// Archive returns files as a compressed tar: a name and a content each.
func Archive(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	writer := tar.NewWriter(zipped)
	for _, file := range files {
		header := &tar.Header{Name: file[0], Mode: 0o644, Size: int64(len(file[1])), Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			t.Error(err)
		}
		_, _ = writer.Write([]byte(file[1]))
	}
	_ = writer.Close()
	_ = zipped.Close()
	return archive.Bytes()
}

// Block returns the first code block of a language on a page of docs/tools, with words replaced: old, new, old, new …
func Block(t *testing.T, page, language string, replace ...string) string {
	t.Helper()
	return BlockAt(t, page, language, 0, replace...)
}

// BlockAt returns one of several code blocks of a language, counted from 0.
func BlockAt(t *testing.T, page, language string, index int, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "tools", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```"+language+"\n")
	if len(blocks) < index+2 {
		t.Fatalf("docs/tools/%s has no block %d of %s", page, index, language)
	}
	block, _, ended := strings.Cut(blocks[index+1], "```")
	if !ended {
		t.Fatalf("docs/tools/%s has a block of %s without an end", page, language)
	}
	return strings.NewReplacer(replace...).Replace(block)
}

// LoggedIn returns a house with a tenant of its own, where the user is logged in, and where the default profile lists
// hosts by these lines of TOML. Its processes find loopkey in PATH.
func LoggedIn(t *testing.T, lines ...string) *house.House {
	t.Helper()
	h := house.WithTenant(t)
	h.Configure(h.Tenant.Issuer(), lines...)
	h.Must("login")
	h.Tenant.Reset()
	return h.With("PATH=" + house.Programs(t) + string(os.PathListSeparator) + os.Getenv("PATH"))
}

// Build builds the program of a folder of testdata. It is a module of its own, so that loopkey's go.mod need not name
// what only a test uses.
func Build(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("testdata", name)
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "go", args...) //nolint:gosec // our own
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		return cmd.CombinedOutput()
	}
	if out, err := run("mod", "download"); err != nil {
		part.Missing(t, "the modules of %s can't be had: %s", dir, out)
	}
	program := filepath.Join(t.TempDir(), name+".exe")
	if out, err := run("build", "-o", program, "."); err != nil {
		t.Fatalf("%s: %v: %s", dir, err, out)
	}
	return program
}
