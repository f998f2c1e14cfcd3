package sharedstore

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/internal/wire/kinds"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/keystore/keystoretest"
)

// The contract of keystore.Store.
func TestStore(t *testing.T) {
	t.Parallel()
	keystoretest.Run(t, func(t *testing.T) keystore.Store { return Dial(served(t, keystore.Memory())) })
}

// sized returns a record of about n bytes.
func sized(mark string, n int) keystore.Record {
	return keystore.Record{Head: []byte(`{"mark":"` + mark + `"}`), Body: []byte(strings.Repeat(mark, n))}
}

// socketDir returns a folder with a short name: a socket's path has 104 bytes at most.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "loopkey") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func listen(t testing.TB, path string) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// served serves the store until the test ends.
func served(t testing.TB, s keystore.Store) (path string) {
	t.Helper()
	path = filepath.Join(socketDir(t), "s")
	l := listen(t, path)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, s) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

// failing returns its error from every call.
type failing struct{ err error }

func (f failing) Head(context.Context, string) (keystore.Record, error) {
	return keystore.Record{}, f.err
}
func (f failing) Load(context.Context, string) (keystore.Record, error) {
	return keystore.Record{}, f.err
}
func (f failing) Save(context.Context, string, keystore.Record) error { return f.err }
func (f failing) Delete(context.Context, string) error                { return f.err }

func TestSocketPassesErrorsOn(t *testing.T) {
	t.Parallel()
	locked := &keystore.UnavailableError{What: "the drawer", Why: "it is locked\x1b[2J", Reason: keystore.ReasonLocked}
	for _, want := range []error{keystore.ErrNotFound, keystore.ErrCorrupt, locked, errors.New("something else")} {
		s := Dial(served(t, failing{want}))
		_, err := s.Head(t.Context(), "me")
		sentinel := want
		if !errors.Is(want, keystore.ErrNotFound) && !errors.Is(want, keystore.ErrCorrupt) {
			sentinel = keystore.ErrUnavailable
		}
		if !errors.Is(err, sentinel) {
			t.Errorf("%v became %v", want, err)
		}
		if e := new(keystore.UnavailableError); errors.As(err, &e) && errors.Is(want, locked) &&
			(e.What != locked.What || e.Reason != locked.Reason || e.Why != "it is locked\uFFFD[2J") {
			t.Errorf("%#v became %#v", locked, e)
		}
	}
}

func TestSocketServesMany(t *testing.T) {
	t.Parallel()
	s := Dial(served(t, keystore.Memory()))
	var clients sync.WaitGroup
	for i := range 3 * maxConnections {
		clients.Go(func() {
			name := "n" + string(rune('a'+i%26))
			if err := s.Save(t.Context(), name, sized("x", 100)); err != nil {
				t.Error(err)
			}
			if _, err := s.Load(t.Context(), name); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
}

func TestSocketWithoutServer(t *testing.T) {
	t.Parallel()
	dir := socketDir(t)
	dead := filepath.Join(dir, "dead")
	l := listen(t, dead)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rude := func(reply string) string {
		path := filepath.Join(socketDir(t), "s")
		l := listen(t, path)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = bufio.NewReader(conn).ReadString('\n')
				_, _ = io.WriteString(conn, reply)
				_ = conn.Close()
			}
		}()
		return path
	}
	for name, path := range map[string]string{
		"no directory": filepath.Join(dir, "no", "s"), "no socket": filepath.Join(dir, "s"), "nobody listens": dead,
		"hangs up": rude(""), "half a line": rude(`{"head":"`), "no JSON": rude("hunter2\n"),
		"other JSON": rude("{\"head\":7}\n"),
	} {
		_, err := Dial(path).Load(t.Context(), "me")
		if !errors.Is(err, keystore.ErrUnavailable) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSocketEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s")
	l := listen(t, path)
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			accepted <- conn
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Dial(path).Load(ctx, "me")
		done <- err
	}()
	conn := <-accepted // and never answers
	defer conn.Close()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// A client that says nothing does not keep the server from ending.
func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "s")
	l := listen(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, keystore.Memory()) }()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := Dial(path).Save(t.Context(), "me", sized("a", 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// FuzzSocket sends anything to the server and to the client.
func FuzzSocket(f *testing.F) {
	f.Add([]byte(`{"op":"load","name":"me"}` + "\n"))
	f.Add([]byte(`{"op":"save","name":"../me","head":"AA=="}` + "\n"))
	f.Add([]byte(`{"op":"save","name":"me","head":"AA==","body":"!"}` + "\n"))
	f.Add([]byte(`{"error":"unavailable","why":"\u001b[2J"}` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		store := keystore.Memory()
		if err := store.Save(t.Context(), "me", sized("me", 10)); err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		defer ours.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer theirs.Close()
			serve(t.Context(), theirs, store)
		}()
		go func() {
			_, _ = ours.Write(line)
			if !strings.Contains(string(line), "\n") {
				_, _ = ours.Write([]byte("\n"))
			}
		}()
		if err := ours.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		var re reply
		if err := wire.NewReader(ours, maxMessage).Read(&re); err != nil {
			t.Fatalf("no reply to %q: %v", line, err)
		}
		<-done
		if wire.Unmarshal(line, &re) != nil {
			return
		}
		err := classified(kinds.Keystore().Err(re.Failure))
		if err != nil && !errors.Is(err, keystore.ErrNotFound) && !errors.Is(err, keystore.ErrCorrupt) &&
			!errors.Is(err, keystore.ErrUnavailable) {
			t.Errorf("%q became %v", line, err)
		}
	})
}

func BenchmarkHead(b *testing.B) {
	s := Dial(served(b, keystore.Memory()))
	if err := s.Save(b.Context(), "me", sized("x", 8<<10)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Head(b.Context(), "me"); err != nil {
			b.Fatal(err)
		}
	}
}
