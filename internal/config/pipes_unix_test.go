//go:build unix

package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/loopkey/loopkey/internal/environ"
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

// A loop of links, like a file that is not the person's to read, is noted.
func TestDotEnvThatCannotBeRead(t *testing.T) {
	t.Parallel()
	in := world{}.input(t)
	if err := os.Symlink(".env", filepath.Join(in.Dir, ".env")); err != nil { // to itself
		t.Fatal(err)
	}
	c, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Complete(); err == nil || !strings.Contains(err.Error(), "./.env can't be read: ") {
		t.Errorf("Complete: %v", err)
	}
	if notes := c.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "./.env can't be read: ") {
		t.Errorf("notes: %q", notes)
	}
}

// A pipe in the place of config.toml would hang every command.
func TestConfigFileThatIsAPipe(t *testing.T) {
	t.Parallel()
	in := world{toml: "#"}.input(t)
	path := environ.Lookup(in.Environ, "LOOPKEY_CONFIG")
	for _, err := range []error{os.Remove(path), syscall.Mkfifo(path, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(in); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "it is no regular file") {
		t.Errorf("Load: %v", err)
	}
	if _, err := Profiles(in); !errors.Is(err, ErrInvalid) {
		t.Errorf("Profiles: %v", err)
	}
}
