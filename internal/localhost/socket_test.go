//go:build linux || darwin

package localhost

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// socketDir returns a folder whose path is short enough for a socket in it.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A socket is private, answers its own user, and is removed at the end.
func TestSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s")
	l, err := ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v: %v", info.Mode(), err)
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
		}))
	}()
	conn, err := DialSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, goodRequest)
	if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("%v: %v", r, err)
	}
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// dead leaves a socket on which nobody answers, as a program that was killed does.
func dead(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

// A dead socket is replaced; one that is answered, or another file, is not.
func TestSocketInTheWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    error
	}{
		"a dead socket": {dead, nil},
		"one that is answered": {func(t *testing.T, path string) {
			t.Helper()
			l, err := ListenSocket(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, ErrSocketAnswered},
		"a file": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ErrNoSocket},
		"a link to a dead socket": {func(t *testing.T, path string) {
			t.Helper()
			dead(t, path+"2")
			if err := os.Symlink(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}, ErrNoSocket},
		"a folder that others can write in": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
		}, ErrSocketPlace},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(socketDir(t), "s")
			c.prepare(t, path)
			before, _ := os.Lstat(path)
			l, err := ListenSocket(t.Context(), path)
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Fatalf("it says %v", err)
			}
			if l != nil {
				_ = l.Close()
				return
			}
			if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
				t.Error("what was there is not there any more")
			}
		})
	}
}

// Of many that find a dead socket at once, one gets the path, and the others are told that it is answered.
func TestSocketRace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s")
	dead(t, path)
	var all sync.WaitGroup
	var mu sync.Mutex
	var won []*Listener
	for range 8 {
		all.Go(func() {
			l, err := ListenSocket(t.Context(), path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, l)
			} else if !errors.Is(err, ErrSocketAnswered) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d listen", len(won))
	}
	conn, err := DialSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	_ = won[0].Close()
}

// Who closes a socket does not remove the one that somebody else has put in its place.
func TestSocketReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s")
	first, err := ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := ListenSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = first.Close()
	conn, err := DialSocket(t.Context(), path)
	if err != nil {
		t.Fatalf("nobody answers: %v", err)
	}
	_ = conn.Close()
}
