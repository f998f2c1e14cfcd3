package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// The provider may be slow with discovery or a pushed request. A terminal waits as long as its context allows.
func TestSlowFirstReply(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		says  string // "": the server hangs up
		want  string // a part of the error; "": the reply
	}{
		"slow":         {2 * time.Minute, `{"url":"http://localhost/"}` + "\n", ""},
		"slower still": {4 * time.Minute, `{"url":"http://localhost/"}` + "\n", "in time"},
		"ended":        {time.Minute, "", "ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				ctx, cancel := clock.WithTimeoutCause(t.Context(), 3*time.Minute, login.ErrTimeout)
				defer cancel()
				said := make(chan struct{})
				go func() {
					defer close(said)
					<-time.After(c.after)
					_, _ = io.WriteString(theirs, c.says)
					_ = theirs.Close()
				}()
				r, err := newTalk(ours).hear(ctx)
				failed := err != nil && c.want != "" && strings.Contains(err.Error(), c.want)
				if replied := err == nil && c.want == "" && r.URL != ""; !failed && !replied {
					t.Errorf("got %+v, %v", r, err)
				}
				<-said
			})
		})
	}
}

// A server that says nothing has not ended. An old server, which takes a logout for a login, counts as no server.
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
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, login.ErrTimeout)
	defer cancel()
	if err := (Client{path, "silent"}).Login(ctx, nil, never); !errors.Is(err, ErrSilent) {
		t.Errorf("a login: %v", err)
	}
	if err := (Client{path, "old"}).Logout(t.Context(), Logout{}, never); !errors.Is(err, ErrNoServer) {
		t.Errorf("a logout at an old server: %v", err)
	}
}

// A host is a Host made of funcs.
type host struct {
	login  func(ctx context.Context, params url.Values, show func(string)) error
	logout func(ctx context.Context, l Logout, show func(string)) error
}

func (h host) OneTimeURL(context.Context) (string, error) { return "http://localhost/once", nil }

func (h host) Login(ctx context.Context, params url.Values, show func(string)) error {
	return h.login(ctx, params, show)
}

func (h host) Logout(ctx context.Context, l Logout, show func(string)) error {
	return h.logout(ctx, l, show)
}

// served lets h reply to terminals of the session "mine" for as long as the test runs.
func served(t *testing.T, h Host) Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	client := Client{Socket: Socket(dir, "http://localhost:3000"), Session: "mine"}
	listener, err := Listen(t.Context(), client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, "mine", h) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return client
}

func TestWhatTerminalsAskFor(t *testing.T) {
	t.Parallel()
	client := served(t, host{
		login: func(_ context.Context, params url.Values, show func(string)) error {
			show("https://provider.example.com/authorize?" + params.Encode())
			return nil
		},
		logout: func(_ context.Context, l Logout, show func(string)) error {
			if l != (Logout{"https://provider.example.com/end?id_token_hint=x", "https://provider.example.com/end", "s"}) {
				return fmt.Errorf("got %+v", l)
			}
			show("http://localhost:3000" + LogoutPath + "?id=1")
			return nil
		},
	})
	if oneTime, err := client.OneTimeURL(t.Context()); err != nil || oneTime != "http://localhost/once" {
		t.Errorf("a one-time URL: %q, %v", oneTime, err)
	}
	shown := ""
	show := func(url string) { shown = url }
	err := client.Login(t.Context(), url.Values{"prompt": {"login"}}, show)
	if err != nil || shown != "https://provider.example.com/authorize?prompt=login" {
		t.Errorf("a login: %q, %v", shown, err)
	}
	leave := Logout{
		URL: "https://provider.example.com/end?id_token_hint=x", PlainURL: "https://provider.example.com/end", State: "s",
	}
	if err := client.Logout(t.Context(), leave, show); err != nil || shown != "http://localhost:3000/auth/ended?id=1" {
		t.Errorf("a logout: %q, %v", shown, err)
	}
	client.Session = "another"
	if _, err := client.OneTimeURL(t.Context()); !errors.Is(err, ErrOtherSession) {
		t.Errorf("a terminal of another session: %v", err)
	}
	client.Socket += ".none"
	if _, err := client.OneTimeURL(t.Context()); !errors.Is(err, ErrNoServer) {
		t.Errorf("a terminal without a server: %v", err)
	}
}

// The server's errors mean in the terminal what they mean there.
func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]error{
		"untrusted": provider.ErrNonce, "refused": provider.ErrRefused, "unreachable": provider.ErrUnreachable,
		"keystore": keystore.ErrUnavailable, "timeout": login.ErrTimeout, "forbidden": login.ErrForbidden,
	} {
		client := served(t, host{login: func(context.Context, url.Values, func(string)) error {
			return fmt.Errorf("the login: %w", sent)
		}})
		kind := sent
		if errors.Is(sent, provider.ErrUntrusted) {
			kind = provider.ErrUntrusted
		}
		err := client.Login(t.Context(), nil, func(string) { t.Error("a URL is shown") })
		if !errors.Is(err, kind) || err.Error() != "the login: "+sent.Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the server's error knows about its cause reaches the terminal.
func TestDiagnosisReachesTheTerminal(t *testing.T) {
	t.Parallel()
	client := served(t, host{login: func(context.Context, url.Values, func(string)) error {
		return fmt.Errorf("the login: %w", &provider.RefusedError{Code: "access_denied", Reason: provider.ReasonDeclined})
	}})
	err := client.Login(t.Context(), nil, func(string) { t.Error("a URL is shown") })
	if d := provider.Diagnose(err); d.Reason != provider.ReasonDeclined || !errors.Is(err, provider.ErrRefused) {
		t.Errorf("got %v, %+v", err, d)
	}
}

// When the terminal stops waiting, the server stops too.
func TestTerminalStopsWaiting(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	client := served(t, host{login: func(ctx context.Context, _ url.Values, show func(string)) error {
		show("http://localhost/")
		<-ctx.Done()
		ended <- ctx.Err()
		return context.Cause(ctx)
	}})
	ctx, stop := context.WithCancel(t.Context())
	if err := client.Login(ctx, nil, func(string) { stop() }); !errors.Is(err, context.Canceled) {
		t.Errorf("the terminal: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the server's wait goes on")
	}
}

// A server that is stopped reports no error of the login, because the login may succeed all the same.
func TestServerStops(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	client := Client{Socket: filepath.Join(dir, "s"), Session: "mine"}
	listener, err := Listen(t.Context(), client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, listener, "mine", host{login: func(ctx context.Context, _ url.Values, show func(string)) error {
			show("http://localhost/")
			<-ctx.Done()
			return context.Cause(ctx)
		}})
	}()
	if err := client.Login(t.Context(), nil, func(string) { stop() }); !errors.Is(err, ErrEnded) {
		t.Errorf("the terminal: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("the server: %v", err)
	}
}
