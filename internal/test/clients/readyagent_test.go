//go:build linux || darwin

package clients_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// An agentRelay stands at the usual place of an agent, passes all on to one, and keeps the beginnings of its replies.
type agentRelay struct {
	mu      sync.Mutex
	replies []string
}

func startAgentRelay(t *testing.T, place, agent string) *agentRelay {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	r := new(agentRelay)
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", agent) //nolint:noctx // it ends with the test
			if err != nil {
				_ = from.Close()
				continue
			}
			go func() { _, _ = io.Copy(to, from) }()
			reply, _ := io.ReadAll(to)
			first, _, _ := bytes.Cut(reply, []byte("\r\n"))
			r.mu.Lock()
			r.replies = append(r.replies, string(first))
			r.mu.Unlock()
			_, _ = from.Write(reply)
			_, _ = from.Close(), to.Close()
		}
	}()
	return r
}

// taken returns the replies since it was last called.
func (r *agentRelay) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.replies
	r.replies = nil
	return taken
}

// An agent that runs at the usual place changes no answer of token and exec. It gives what it has ready, and nothing
// that its own flags don't allow.
func TestReadyAgent(t *testing.T) {
	t.Parallel()
	h := audiences(t)
	agent, _ := startAgent(t, h, "--allow-id-token")
	folder := house.ShortDir(t)
	place := filepath.Join(folder, "loopkey", "agent.sock")
	if err := os.Mkdir(filepath.Dir(place), 0o700); err != nil {
		t.Fatal(err)
	}
	r := startAgentRelay(t, place, agent)
	with, without := h.With("XDG_RUNTIME_DIR="+folder), h.With("XDG_RUNTIME_DIR=")
	const given, nothing, refused = "HTTP/1.1 200 OK", "HTTP/1.1 204 No Content", "HTTP/1.1 403 Forbidden"
	for _, c := range []struct {
		args  []string
		reply string // "": the agent is not asked
		code  int
		first bool // only the first of the two is that command; then the token is the same
	}{
		{[]string{"token"}, given, 0, false},
		{[]string{"token", "-o", "json"}, given, 0, false},
		{[]string{"token", "-o", "header", "--min-ttl", "30m"}, given, 0, false},
		{[]string{"token", "--audience", api}, given, 0, false},
		{[]string{"token", "--id-token"}, given, 0, false},
		{[]string{"exec", "--env", "T", "--", "sh", "-c", "echo $T"}, given, 0, false},
		{[]string{"token", "--audience", other}, refused, 0, false},
		{[]string{"token", "--min-ttl", "2h"}, nothing, 0, true},
		{[]string{"token"}, given, 0, false},
		{[]string{"token", "--force-refresh"}, "", 0, true},
		{[]string{"token", "-o", "json"}, given, 0, false},
		{[]string{"token", "-p", "nobody"}, "", 2, false},
		{[]string{"token", "--output", "xml"}, "", 2, false},
		{[]string{"logout", "--local"}, "", 0, true},
		{[]string{"token"}, "HTTP/1.1 401 Unauthorized", 3, false},
		{[]string{"login"}, "", 0, true},
		{[]string{"token"}, given, 0, false},
	} {
		got := with.Run(c.args...)
		want := ""
		if replies := r.taken(); len(replies) > 0 {
			want = replies[0]
		}
		if want != c.reply || got.Code != c.code {
			t.Errorf("%v: the agent says %q, exit code %d: %s", c.args, want, got.Code, got.Stderr)
		}
		if c.first {
			continue
		}
		if plain := without.Run(c.args...); plain != got {
			t.Errorf("%v: with an agent %+v, without %+v", c.args, got, plain)
		}
		if replies := r.taken(); len(replies) > 0 {
			t.Fatalf("%v: the agent was asked where it is not at the usual place", c.args)
		}
	}
	// Of what is done with another state folder the agent learns nothing, so it has nothing to say there.
	elsewhere := with.With("XDG_STATE_HOME=" + t.TempDir())
	elsewhere.Must("token", "--force-refresh")
	_ = r.taken()
	elsewhere.Must("token")
	if replies := r.taken(); len(replies) != 1 || replies[0] != nothing {
		t.Errorf("with another state folder: %q", replies)
	}
}

// Whatever else is where an agent could be changes no answer.
func TestNoReadyAgent(t *testing.T) {
	t.Parallel()
	h := audiences(t)
	want := h.Must("token", "-o", "json")
	for name, prepare := range map[string]func(place string) error{
		"a file":   func(place string) error { return os.WriteFile(place, []byte("x"), 0o600) },
		"a folder": func(place string) error { return os.Mkdir(place, 0o700) },
		"a dead socket": func(place string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: place})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
		"a link to it": func(place string) error { return os.Symlink("nowhere", place) },
		"a socket that nobody answers": func(place string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: place})
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			return err
		},
		"a program that replies with something else": func(place string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: place})
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096)) // with the request unread, the reply could be lost
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"\"}")
					_ = conn.Close()
				}
			}()
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := house.ShortDir(t)
			if err := os.Mkdir(filepath.Join(folder, "loopkey"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := prepare(filepath.Join(folder, "loopkey", "agent.sock")); err != nil {
				t.Fatal(err)
			}
			got := h.With("XDG_RUNTIME_DIR="+folder).Run("token", "-o", "json")
			if got.Stdout != want || got.Stderr != "" || got.Code != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}
