package clients_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// setup writes what git needs, git works with it, and --undo leaves the files as they were.
func TestSetupGit(t *testing.T) {
	t.Parallel()
	g, server := forge(t, `Basic realm="forge"`)
	path := filepath.Join(g.Dir, ".gitconfig")
	configuration := func() string {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	full := configuration()
	before, _, _ := strings.Cut(full, "[credential")
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Configure(g.Tenant.Issuer()) // no hosts
	h := g.With("GIT_CONFIG_GLOBAL=")
	if r := h.Run("setup", "git"); r.Code != 2 || !strings.Contains(r.Stderr, "run loopkey setup git HOST") {
		t.Errorf("no host is listed or given: exit %d, %s", r.Code, r.Stderr)
	}
	if out := h.Must("setup", "git", server.Host); !strings.Contains(out, `[credential "https://`+server.Host+`"]`) {
		t.Errorf("setup prints %q", out)
	}
	if configuration() != before {
		t.Error("without --write the configuration changed")
	}
	for range 2 { // the second time changes nothing
		if r := h.Run("setup", "git", server.Host, "--write"); r.Code != 0 || r.Stdout != "" {
			t.Fatalf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
	}
	g.must("ls-remote", server.URL+"/team.git")
	if forms := server.Accepted(); len(forms) == 0 {
		t.Error("git did not use the helper")
	}
	h.Must("setup", "git", "--undo")
	if configuration() != before {
		t.Errorf("after --undo the configuration is %q, not %q", configuration(), before)
	}
}

// setup makes the link that docker runs, and removes it again, and nothing that is not its own.
func TestSetupLink(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "loopkey")); err != nil {
		part.Missing(t, "no links on this system: %v", err)
	}
	h = h.With("PATH="+bin, "DOCKER_CONFIG="+h.Dir)
	link := filepath.Join(bin, "docker-credential-loopkey")
	r := h.Run("setup", "docker", "registry.acme.example", "--write")
	if target, err := os.Readlink(link); r.Code != 0 || err != nil || target != filepath.Join(bin, "loopkey") {
		t.Fatalf("exit %d, the link leads to %q (%v): %s", r.Code, target, err, r.Stderr)
	}
	want := clients.Block(t, "docker.md", "json")
	content, err := os.ReadFile(filepath.Join(h.Dir, "config.json"))
	if err != nil || strings.Join(strings.Fields(string(content)), "") != strings.Join(strings.Fields(want), "") {
		t.Errorf("config.json holds %s (%v)", content, err)
	}
	if r := h.Run("credential", "docker", "list"); r.Stdout != `{"registry.acme.example":"oauth2"}`+"\n" {
		t.Errorf("the profile lists %s%s", r.Stdout, r.Stderr)
	}
	h.Must("setup", "docker", "--undo")
	if _, err := os.Lstat(link); err == nil {
		t.Error("after --undo the link is there")
	}
	if err := os.WriteFile(link, []byte("somebody else's"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r := h.Run("setup", "docker"); !strings.Contains(r.Stderr, "something else than loopkey") {
		t.Errorf("a stranger's program is in the way, and setup says %q", r.Stderr)
	}
	h.Must("setup", "docker", "--undo")
	if _, err := os.Lstat(link); err != nil {
		t.Error("--undo removed a stranger's program")
	}
}

// setup has kubectl write the user that asks loopkey, and delete it again.
func TestSetupKubernetes(t *testing.T) {
	t.Parallel()
	kubectl := clients.Need(t, "kubectl", true)
	help, err := exec.CommandContext(t.Context(), kubectl, "config", "set-credentials", "--help").Output()
	if err != nil || !strings.Contains(string(help), "--exec-interactive-mode") {
		t.Skipf("kubectl is older than 1.22: %v", err) // Also with LOOPKEY_TEST_REAL: Debian 12's is older.
	}
	h := house.WithTenant(t)
	kubeconfig := filepath.Join(h.Dir, "kubeconfig")
	h = h.With("PATH="+house.Programs(t)+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+kubeconfig)
	read := func() string {
		content, err := os.ReadFile(kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	h.Must("setup", "kubernetes", "k8s.acme.example:6443", "--write")
	if content := read(); !strings.Contains(content, "- name: loopkey") || !strings.Contains(content, "- kubernetes") {
		t.Errorf("the kubeconfig is\n%s", content)
	}
	h.Must("setup", "kubernetes", "--undo")
	if content := read(); strings.Contains(content, "loopkey") {
		t.Errorf("after --undo the kubeconfig is\n%s", content)
	}
}
