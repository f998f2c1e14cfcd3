package webui

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/loopback"
)

// The provider may be slow with discovery or a pushed request; whoever waits for it waits as long as they said.
func TestSlowFirstAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		says  string // "": it hangs up
		want  string // "": the answer
	}{
		"slow":         {2 * time.Minute, `{"url":"http://localhost/"}` + "\n", ""},
		"slower still": {4 * time.Minute, `{"url":"http://localhost/"}` + "\n", "in time"},
		"ended":        {time.Minute, "", "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				ctx, cancel := loopback.Deadline(t.Context(), 3*time.Minute)
				defer cancel(nil)
				said := make(chan struct{})
				go func() {
					defer close(said)
					<-time.After(c.after)
					_, _ = io.WriteString(theirs, c.says)
					_ = theirs.Close()
				}()
				r, err := hear(ctx, ours, bufio.NewReader(ours))
				if c.want == "" && (err != nil || r.URL == "") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %+v, %v", r, err)
				}
				<-said
			})
		})
	}
}

// A server that says nothing is not one that ended, and an old one that takes a logout for a login is none.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			var q question
			if json.NewDecoder(conn).Decode(&q) == nil && q.Session == "old" {
				_ = json.NewEncoder(conn).Encode(reply{URL: "https://provider.example.com/authorize"})
			}
			defer conn.Close() // when the test ends
		}
	}()
	never := func(url string) { t.Errorf("%s is shown", url) }
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, loopback.ErrTimeout)
	defer cancel()
	if err := HandOff(ctx, path, "silent", nil, never); !errors.Is(err, errNoAnswer) {
		t.Errorf("a login: %v", err)
	}
	if err := HandOffLogout(t.Context(), path, "old", Leave{}, never); !errors.Is(err, ErrNoServer) {
		t.Errorf("a logout at an old server: %v", err)
	}
}
