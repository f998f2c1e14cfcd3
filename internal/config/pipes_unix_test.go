//go:build unix

package config

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestClientSecretFromAPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, []byte("from a pipe\n"), 0o600) }()
	c := load(t, world{flags: map[string]string{"client-secret-file": path}})
	for range 2 { // the pipe tells it once
		if got, err := c.ClientSecret(); err != nil || got != "from a pipe" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// A pipe in the place of ./.env would hang every command.
func TestDotEnvThatIsAPipe(t *testing.T) {
	t.Parallel()
	in := world{}.input(t)
	if err := syscall.Mkfifo(filepath.Join(in.Dir, ".env"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(in); err != nil {
		t.Error(err)
	}
}

func TestDotEnvThatCannotBeRead(t *testing.T) {
	t.Parallel()
	in := world{}.input(t)
	if err := os.Symlink(".env", filepath.Join(in.Dir, ".env")); err != nil { // to itself
		t.Fatal(err)
	}
	if _, err := Load(in); err == nil {
		t.Error("no error")
	}
}
