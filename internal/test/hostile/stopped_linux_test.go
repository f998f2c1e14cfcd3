package hostile

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
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
	asked, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.On(Token, func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(asked); <-goOn })
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
	var said bytes.Buffer
	second := w.house.Command(ctx, "token")
	second.Stderr = &said
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	for waiting := false; !waiting; { // until it has the lock file open
		if ctx.Err() != nil {
			t.Fatal("it never waits")
		}
		files, _ := filepath.Glob("/proc/" + strconv.Itoa(second.Process.Pid) + "/fd/*")
		waiting = slices.ContainsFunc(files, func(file string) bool {
			target, err := os.Readlink(file)
			return err == nil && strings.HasSuffix(target, ".lock")
		})
	}
	close(goOn)
	if err := second.Wait(); err != nil || said.Len() > 0 {
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
