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

// neverRings is the limit of a wait that has to end before it.
const neverRings = 10 * time.Minute

// bellOf returns a lock in a folder of its own, and this process's turn.
func bellOf(t *testing.T) (*fileLock, *held) {
	t.Helper()
	l := &fileLock{dir: t.TempDir(), name: "default.1"}
	h, err := l.tryTurn()
	if err != nil || h == nil {
		t.Fatalf("the turn: %v, %v", h, err)
	}
	return l, h
}

// rings waits for the bell while end closes it, again and again until the wait began before the end.
func rings(t *testing.T, l *fileLock, begin func() (end func())) {
	t.Helper()
	for range 10_000 {
		end, rang, began := begin(), make(chan bool), make(chan time.Time)
		go func() {
			began <- time.Now()
			rang <- listen(t.Context(), l.bell(), neverRings)
		}()
		since := <-began
		end()
		if waited := <-rang; time.Since(since) > neverRings/2 {
			t.Fatal("the bell does not ring")
		} else if waited {
			return
		}
	}
	t.Fatal("nobody waits for the bell")
}

// A process that gives its turn back wakes those who wait, and then the turn is free.
func TestBell(t *testing.T) {
	t.Parallel()
	l, h := bellOf(t)
	rings(t, l, func() func() {
		if h == nil {
			var err error
			if h, err = l.tryTurn(); err != nil || h == nil {
				t.Fatalf("after the bell there is no turn: %v", err)
			}
		}
		return func() {
			h.release()
			h = nil
		}
	})
	if h, err := l.tryTurn(); err != nil || h == nil {
		t.Errorf("after the bell there is no turn: %v", err)
	} else {
		h.release()
	}
}

// One that is killed does so too.
func TestBellOfTheDead(t *testing.T) {
	t.Parallel()
	l, h := bellOf(t)
	h.release()
	if err := syscall.Mkfifo(l.bell(), 0o600); err != nil {
		t.Fatal(err)
	}
	rings(t, l, func() func() {
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
		return func() {
			if err := holder.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = holder.Wait()
			_ = in.Close()
		}
	})
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
