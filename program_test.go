package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A program in a module of its own can do with the public packages what the README says: log in, call an API, guard a
// handler.
func TestProgram(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	h := house.WithTenant(t)
	issuer := h.Tenant.Issuer()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, issuer, house.Client, h.Base, issuer+"/userinfo")
	cmd.Env = h.Env // its $BROWSER logs the user in
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	for _, want := range []string{"200 Ada Lovelace\n", "serving\n"} {
		if line, err := lines.ReadString('\n'); line != want {
			_ = cmd.Wait()
			t.Fatalf("it prints %q (%v), not %q: %s", line, err, want, stderr.String())
		}
	}

	page := h.Base + "/app/"
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ada := tenant.Person{Email: house.Email, Password: house.Password, Jar: jar}
	if visit, err := ada.Visit(ctx, page); err != nil || visit.URL != page || visit.Body != "Hello Ada Lovelace." {
		t.Errorf("after a login on the way the user is at %+v (%v)", visit, err)
	}
	for name, c := range map[string]struct {
		jar    http.CookieJar
		method string
		host   string
		origin string
		status int
	}{
		"known":      {jar: jar, method: http.MethodGet, status: http.StatusOK},
		"unknown":    {method: http.MethodGet, status: http.StatusUnauthorized},
		"cross-site": {jar: jar, method: http.MethodPost, origin: "https://evil.example", status: http.StatusForbidden},
		"rebinding":  {jar: jar, method: http.MethodGet, host: "evil.example", status: http.StatusMisdirectedRequest},
	} {
		req, err := http.NewRequestWithContext(ctx, c.method, page, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		req.Header.Set("Origin", c.origin)
		resp, err := (&http.Client{Jar: c.jar}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("a request of a browser that is %s gets %d, not %d", name, resp.StatusCode, c.status)
		}
	}
	_ = stdin.Close()
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v: %s", err, stderr.String())
	}
}

// buildProgram builds testdata/program from a copy of its module, whose go.mod the go command completes. It uses no
// network: the modules are those of loopkey's own go.mod.
func buildProgram(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	read := func(parts ...string) string {
		content, err := os.ReadFile(filepath.Join(parts...))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	mod := strings.Replace(read("testdata", "program", "go.mod"), "=> ../..", "=> "+root, 1)
	for name, content := range map[string]string{
		"go.mod": mod, "go.sum": read("go.sum"), "main.go": read("testdata", "program", "main.go"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "program.exe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return program
}
