package clients_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// pip downloads a package from an index that wants a token, with the line of docs/tools/python.md.
func TestPip(t *testing.T) {
	t.Parallel()
	pip := clients.Need(t, "pip", true)
	if out, err := exec.Command(pip, "--version").CombinedOutput(); err != nil { //nolint:noctx // it ends by itself
		t.Skipf("pip does not run: %s", out) // Also with LOOPKEY_TEST_REAL: CI does not install it.
	}
	wheel := wheel(t)
	h := clients.LoggedIn(t)
	server := clients.Serve(t, h, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".whl") {
			_, _ = w.Write(wheel)
			return
		}
		_, _ = fmt.Fprint(w, `<!DOCTYPE html><a href="/files/acme-1.0-py3-none-any.whl">acme-1.0-py3-none-any.whl</a>`)
	}), `Basic realm="index"`)
	h.Configure(h.Tenant.Issuer(), clients.Block(t, "python.md", "toml", "pypi.acme.example", server.Host))
	h = h.With("PIP_CERT="+server.CA, "PIP_NO_INPUT=1", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_CONFIG_FILE=/dev/null")
	line := clients.Block(t, "python.md", "sh",
		"pypi.acme.example", server.Host, "pip install acme", pip+" download --no-deps acme")
	args := strings.Fields(line)
	if out, err := finish(h, args[0], args[1:]...); err != nil || !strings.Contains(out, "Saved") {
		t.Errorf("pip: %v: %s", err, out)
	}
	if got := server.Accepted(); len(got) < 2 || got[0] != "Basic oauth2" {
		t.Errorf("the index was given %v", got)
	}
	h.Must("logout", "--local")
	if out, err := finish(h, args[0], args[1:]...); err == nil {
		t.Errorf("nobody is logged in: %s", out)
	}
	r := h.Run("credential", "python", "get", "https://evil.example/simple/", "oauth2")
	if r.Code != 1 || r.Stdout+r.Stderr != "" {
		t.Errorf("a host that is not listed: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := h.Run("credential", "python", "set", "https://"+server.Host, "oauth2"); r.Code != 1 || r.Stderr == "" {
		t.Errorf("set: %d %s", r.Code, r.Stderr)
	}
}

// setup has pip ask the keyring, and not any more.
func TestSetupPython(t *testing.T) {
	t.Parallel()
	pip := clients.Need(t, "pip", true)
	if out, err := exec.Command(pip, "--version").CombinedOutput(); err != nil { //nolint:noctx // it ends by itself
		t.Skipf("pip does not run: %s", out) // Also with LOOPKEY_TEST_REAL: CI does not install it.
	}
	h := clients.LoggedIn(t)
	h = h.With("PATH="+house.Programs(t)+string(os.PathListSeparator)+os.Getenv("PATH"),
		"XDG_CONFIG_HOME="+filepath.Join(h.Dir, ".config"))
	provider := func() string {
		out, _ := finish(h, pip, "config", "get", "global.keyring-provider") // it fails where nothing is set
		return strings.TrimSpace(out)
	}
	r := h.Run("setup", "python", "--write")
	if r.Code != 0 || !strings.Contains(r.Stderr, "Put ~/.loopkey-bin before") || provider() != "subprocess" {
		t.Errorf("setup exits %d, and pip asks %q: %s", r.Code, provider(), r.Stderr)
	}
	link := filepath.Join(h.Dir, ".loopkey-bin", "keyring")
	if _, err := os.Lstat(link); err != nil {
		t.Error(err)
	}
	h.Must("setup", "python", "--undo")
	if _, err := os.Lstat(link); err == nil || provider() == "subprocess" {
		t.Errorf("after --undo pip asks %q, and the link: %v", provider(), err)
	}
}

// wheel returns a package for Python with nothing in it.
func wheel(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range map[string]string{
		"acme/__init__.py":            "",
		"acme-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
		"acme-1.0.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"acme-1.0.dist-info/RECORD":   "",
	} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
