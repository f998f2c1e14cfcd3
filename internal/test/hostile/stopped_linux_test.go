package hostile

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process that is stopped during its renewal (Ctrl-Z, a frozen terminal) keeps the others waiting only as long as the
// renewal takes.
func TestStoppedHolder(t *testing.T) {
	t.Parallel()
	p := Start(t)
	p.Lie(Lies{Token: set("expires_in", 30)}) // shorter than --min-ttl
	w := worldOf(t, p)
	w.Confess()
	w.Reset()
	asked, answer := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(answer) })
	defer goOn() // also where the test fails: the provider waits for it
	var once sync.Once
	w.On(Token, func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(asked); <-answer })
		return false
	})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	stopped := w.house.Command(ctx, "token")
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	opened := lockOpened(t, filepath.Join(w.house.Dir, ".local", "state", "loopkey"))
	var said bytes.Buffer
	second := w.house.Command(ctx, "token")
	second.Stderr = &said
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- second.Wait() }()
	select {
	case <-opened:
	case err := <-ended:
		t.Fatalf("the other does not wait: %v: %s", err, said.String())
	}
	goOn()
	if err := <-ended; err != nil || said.Len() > 0 {
		t.Errorf("the other: %v: %s", err, said.String())
	}
	w.count(t, map[string]int{Token: 1}) // one request for both
	if err := stopped.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := stopped.Wait(); err != nil {
		t.Errorf("the one that was stopped: %v", err)
	}
}

// lockOpened returns a channel that is closed when a process opens a lock in a folder. A process that waits for a lock
// opens its file again and again, each time for a moment.
func lockOpened(t *testing.T, folder string) <-chan struct{} {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { _ = events.Close() })
	if _, err := unix.InotifyAddWatch(fd, folder, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	go func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := events.Read(buffer)
			if err != nil {
				return // the test has ended
			}
			if bytes.Contains(buffer[:n], []byte(".lock\x00")) {
				close(opened)
				return
			}
		}
	}()
	return opened
}
