//go:build unix

package session

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const neverRings = time.Hour

// bellOf returns a lock in a folder of its own, and whoever has its turn.
func bellOf(t *testing.T) (*fileLock, *held) {
	t.Helper()
	l := &fileLock{dir: t.TempDir(), name: "default.1"}
	h, err := l.tryTurn()
	if err != nil || h == nil {
		t.Fatalf("the turn: %v, %v", h, err)
	}
	return l, h
}

// Whoever has the turn rings when its end comes, and then the lock is free.
func TestBell(t *testing.T) {
	t.Parallel()
	l, h := bellOf(t)
	for {
		rang := make(chan bool)
		begun := make(chan struct{})
		go func() {
			close(begun)
			rang <- listen(t.Context(), l.bell(), neverRings)
		}()
		<-begun
		h.release()
		waited := <-rang
		next, err := l.tryTurn()
		if err != nil || next == nil {
			t.Fatalf("after the bell there is no turn: %v", err)
		}
		if h = next; waited { // it had not come too late
			break
		}
	}
	h.release()
}

// It rings also for a process that was killed.
func TestBellOfTheDead(t *testing.T) {
	t.Parallel()
	l, h := bellOf(t)
	h.release()
	if err := syscall.Mkfifo(l.bell(), 0o600); err != nil {
		t.Fatal(err)
	}
	for waited := false; !waited; {
		// The shell has the pipe open, says so, and waits for its end.
		holder := exec.CommandContext(t.Context(), "sh", "-c", `exec 3<>"$1" && echo && exec cat`, "sh", l.bell())
		in, err := holder.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := holder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		rang := make(chan bool)
		go func() { rang <- listen(t.Context(), l.bell(), neverRings) }()
		if err := holder.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		waited = <-rang
		_ = holder.Wait()
		_ = in.Close()
	}
}

// Nobody waits where nobody has the bell, where something else has its name, or where there is none.
func TestNoBell(t *testing.T) {
	t.Parallel()
	l, h := bellOf(t)
	h.release()
	if _, err := os.Lstat(l.bell()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the bell is left behind: %v", err)
	}
	if listen(t.Context(), l.bell(), neverRings) {
		t.Error("somebody waited without a bell")
	}
	if err := syscall.Mkfifo(l.bell(), 0o600); err != nil { // of a process that was killed
		t.Fatal(err)
	}
	if listen(t.Context(), l.bell(), neverRings) {
		t.Error("somebody waited though nobody has the bell")
	}
	if h, err := l.tryTurn(); err != nil || h == nil || h.bell == nil {
		t.Errorf("a bell that was left behind does not ring again: %v, %v", h, err)
	} else {
		h.release()
	}
	for name, put := range map[string]func(path string) error{
		"a file":   func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":   func(path string) error { return os.Symlink(filepath.Join(l.dir, "elsewhere"), path) },
	} {
		if err := put(l.bell()); err != nil {
			t.Fatal(err)
		}
		h, err := l.tryTurn()
		if err != nil || h == nil || h.bell != nil {
			t.Fatalf("%s: %v, %v", name, h, err)
		}
		if listen(t.Context(), l.bell(), neverRings) {
			t.Errorf("%s: somebody waited", name)
		}
		h.release()
		if err := os.Remove(l.bell()); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody waits longer than was asked, or than ctx lives.
func TestBellEnds(t *testing.T) {
	t.Parallel()
	l, h := bellOf(t)
	defer h.release()
	if !listen(t.Context(), l.bell(), time.Millisecond) {
		t.Error("nobody waited for the limit")
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if !listen(ctx, l.bell(), neverRings) {
		t.Error("nobody waited for the end of ctx")
	}
}
