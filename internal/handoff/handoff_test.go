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
	"runtime"
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
		"slow":         {2 * time.Minute, `{"v":3,"begun":{"url":"http://localhost/"}}` + "\n", ""},
		"slower still": {4 * time.Minute, `{"v":3,"begun":{"url":"http://localhost/"}}` + "\n", "in time"},
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
				if replied := err == nil && c.want == "" && r.Begun != nil; !failed && !replied {
					t.Errorf("got %+v, %v", r, err)
				}
				<-said
			})
		})
	}
}

// A server that says nothing has not ended. One of another version is not asked for more: it may take a question for
// another one.
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
	says := map[string]string{ // by the session
		"without versions": `{"url":"https://provider.example.com/authorize"}`,
		"the first":        `{"v":1,"url":"https://provider.example.com/authorize"}`,
		"a later one":      `{"v":99}`,
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			var q question
			if json.NewDecoder(conn).Decode(&q) == nil && says[q.Session] != "" {
				_, _ = io.WriteString(conn, says[q.Session]+"\n")
			}
			defer conn.Close() // when the test ends
		}
	}()
	show := func(url string) { t.Errorf("%s is shown", url) }
	at := Terminal{Show: func(b Begun) { show(b.URL) }}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, login.ErrTimeout)
	defer cancel()
	silent := Client{path, Holder{Session: "silent"}}
	if err := silent.Login(ctx, login.Wanted{}, at); !errors.Is(err, ErrSilent) {
		t.Errorf("a login: %v", err)
	}
	for version := range says {
		other := Client{path, Holder{Session: version}}
		openErr := other.Open(t.Context(), func(o Opened) { show(o.URL) })
		for asked, err := range map[string]error{
			"a login": other.Login(t.Context(), login.Wanted{}, at), "a page": openErr,
			"a logout": other.Logout(t.Context(), Logout{}, Leaving{Show: show}),
		} {
			if !errors.Is(err, ErrOtherVersion) {
				t.Errorf("%s at %s: %v", asked, version, err)
			}
		}
	}
}

// A terminal of another version is told so, and nothing is done for it.
func TestOtherTerminal(t *testing.T) {
	t.Parallel()
	client := served(t, host{})
	for _, says := range []string{`{"session":"mine","open":true}`, `{"v":1,"session":"mine"}`, `{"v":99}`} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", client.Socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, says+"\n")
		reply, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(reply), `"kinds":["version"]`) {
			t.Errorf("%s gets %s, %v", says, reply, err)
		}
		_ = conn.Close()
	}
}

// A host is a Host made of funcs.
type host struct {
	login  func(ctx context.Context, wanted login.Wanted, at Terminal) error
	logout func(ctx context.Context, l Logout, at Leaving) error
}

func (h host) Open(_ context.Context, show func(Opened)) error {
	show(Opened{"http://localhost/once", Serving{Pages: "/handbook", PassAccessToken: true}})
	return nil
}

func (h host) Login(ctx context.Context, wanted login.Wanted, at Terminal) error {
	return h.login(ctx, wanted, at)
}

func (h host) Logout(ctx context.Context, l Logout, at Leaving) error {
	return h.logout(ctx, l, at)
}

// served lets h reply to terminals of the session "mine" for as long as the test runs.
func served(t *testing.T, h Host) Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	mine := Holder{"mine", map[string]string{"keystore": "keychain"}}
	client := Client{Socket: Socket(dir, "http://localhost:3000"), Holder: mine}
	listener, err := Listen(t.Context(), client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, mine, h) }()
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
	whole := login.Wanted{
		Scope: "openid read:x", Audience: "https://api.example.com/",
		Params: url.Values{"prompt": {"login"}, "max_age": {"0"}},
	}
	client := served(t, host{
		login: func(_ context.Context, wanted login.Wanted, at Terminal) error {
			if wanted.Scope == "openid" {
				wanted.Scope = "openid email" // it begins something else than was asked for
			}
			at.Show(Begun{URL: "https://provider.example.com/authorize", Wanted: wanted, Shared: true})
			return nil
		},
		logout: func(_ context.Context, l Logout, at Leaving) error {
			if l != (Logout{
				URL: "https://provider.example.com/end?id_token_hint=x", PlainURL: "https://provider.example.com/end", State: "s",
				Timeout: time.Hour,
			}) {
				return fmt.Errorf("got %+v", l)
			}
			at.Show("http://localhost:3000" + LogoutPath + "?id=1")
			at.Left()
			return nil
		},
	})
	var opened Opened
	page := func(o Opened) { opened = o }
	err := client.Open(t.Context(), page)
	if err != nil || opened.URL != "http://localhost/once" || opened.Serving.Pages != "/handbook" ||
		!opened.Serving.PassAccessToken {
		t.Errorf("a page: %+v, %v", opened, err)
	}
	var begun []Begun
	at := Terminal{Show: func(b Begun) { begun = append(begun, b) }}
	err = client.Login(t.Context(), whole, at)
	if err != nil || len(begun) != 1 || begun[0].URL != "https://provider.example.com/authorize" ||
		!begun[0].Shared || !begun[0].Wanted.Equal(whole) {
		t.Errorf("a login: %+v, %v", begun, err)
	}
	if err := client.Login(t.Context(), login.Wanted{Scope: "openid"}, at); !errors.Is(err, ErrOtherLogin) ||
		len(begun) != 1 {
		t.Errorf("another login than was asked for: %+v, %v", begun, err)
	}
	leave := Logout{
		URL: "https://provider.example.com/end?id_token_hint=x", PlainURL: "https://provider.example.com/end", State: "s",
		Timeout: time.Hour,
	}
	shown, left := "", 0
	leaving := Leaving{Show: func(url string) { shown = url }, Left: func() { left++ }}
	if err := client.Logout(t.Context(), leave, leaving); err != nil || left != 1 ||
		shown != "http://localhost:3000/auth/ended?id=1" {
		t.Errorf("a logout: %q, %v", shown, err)
	}
	other := client
	other.Holder.Session = "another"
	if err := other.Open(t.Context(), page); !errors.Is(err, ErrOtherSession) {
		t.Errorf("a terminal of another session: %v", err)
	}
	for name, setup := range map[string]map[string]string{
		"keystore": {"keystore": "file"}, "discovery URL": {"keystore": "keychain", "discovery URL": "https://x/"},
	} {
		other := client
		other.Holder.Setup = setup
		err := other.Open(t.Context(), page)
		if e := new(SetupError); !errors.As(err, &e) || e.Name != name {
			t.Errorf("a terminal with another %s: %v", name, err)
		}
		if err := other.Logout(t.Context(), leave, leaving); err != nil { // a browser goes where the provider says
			t.Errorf("a logout of a terminal with another %s: %v", name, err)
		}
	}
	client.Socket += ".none"
	if err := client.Open(t.Context(), page); !errors.Is(err, ErrNoServer) {
		t.Errorf("a terminal without a server: %v", err)
	}
}

// What is pasted into the terminal reaches the login, however long it is, and what was wrong with it comes back.
func TestPastedLinesTravel(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<\u202e", 16<<10)
	client := served(t, host{login: func(ctx context.Context, _ login.Wanted, at Terminal) error {
		at.Show(Begun{URL: "http://localhost/"})
		for {
			select {
			case text := <-at.Pasted:
				switch text {
				case long:
					return nil
				default:
					at.Rejected("not " + text)
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}})
	pasted := make(chan string, 2)
	pasted <- "wrong"
	var rejected []string
	err := client.Login(t.Context(), login.Wanted{}, Terminal{
		Show: func(Begun) {}, Pasted: pasted,
		Rejected: func(reason string) {
			rejected = append(rejected, reason)
			pasted <- long
		},
	})
	if err != nil || len(rejected) != 1 || rejected[0] != "not wrong" {
		t.Errorf("%q, %v", rejected, err)
	}
}

// The server's errors mean in the terminal what they mean there.
func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]error{
		"untrusted": provider.ErrNonce, "refused": provider.ErrRefused, "unreachable": provider.ErrUnreachable,
		"keystore": keystore.ErrUnavailable, "timeout": login.ErrTimeout, "forbidden": login.ErrForbidden,
	} {
		client := served(t, host{login: func(context.Context, login.Wanted, Terminal) error {
			return fmt.Errorf("the login: %w", sent)
		}})
		kind := sent
		if errors.Is(sent, provider.ErrUntrusted) {
			kind = provider.ErrUntrusted
		}
		err := client.Login(t.Context(), login.Wanted{}, Terminal{Show: func(Begun) { t.Error("a URL is shown") }})
		if !errors.Is(err, kind) || err.Error() != "the login: "+sent.Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the server's error knows about its cause reaches the terminal.
func TestDiagnosisReachesTheTerminal(t *testing.T) {
	t.Parallel()
	client := served(t, host{login: func(context.Context, login.Wanted, Terminal) error {
		return fmt.Errorf("the login: %w", &provider.RefusedError{Code: "access_denied", Reason: provider.ReasonDeclined})
	}})
	err := client.Login(t.Context(), login.Wanted{}, Terminal{Show: func(Begun) { t.Error("a URL is shown") }})
	if d := provider.Diagnose(err); d.Reason != provider.ReasonDeclined || !errors.Is(err, provider.ErrRefused) {
		t.Errorf("got %v, %+v", err, d)
	}
}

// When the terminal stops waiting, the server stops too.
func TestTerminalStopsWaiting(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	client := served(t, host{login: func(ctx context.Context, _ login.Wanted, at Terminal) error {
		at.Show(Begun{URL: "http://localhost/"})
		<-ctx.Done()
		ended <- ctx.Err()
		return context.Cause(ctx)
	}})
	ctx, stop := context.WithCancel(t.Context())
	at := Terminal{Show: func(Begun) { stop() }}
	if err := client.Login(ctx, login.Wanted{}, at); !errors.Is(err, context.Canceled) {
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
	client := Client{Socket: filepath.Join(dir, "s"), Holder: Holder{Session: "mine"}}
	listener, err := Listen(t.Context(), client.Socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	waits := host{login: func(ctx context.Context, _ login.Wanted, at Terminal) error {
		at.Show(Begun{URL: "http://localhost/"})
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	go func() { served <- Serve(ctx, listener, client.Holder, waits) }()
	at := Terminal{Show: func(Begun) { stop() }}
	if err := client.Login(t.Context(), login.Wanted{}, at); !errors.Is(err, ErrEnded) {
		t.Errorf("the terminal: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("the server: %v", err)
	}
}

// The server keeps the terminal's limit, so that it can say what came in place of a browser.
func TestTimeoutSaysWhatCame(t *testing.T) {
	t.Parallel()
	timedOut := func(ctx context.Context, visited bool) error {
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), login.ErrTimeout) {
			t.Errorf("the end is %v", context.Cause(ctx))
		}
		var err error = &login.TimeoutError{Saw: login.TLSHello}
		if !visited {
			err = fmt.Errorf("%w: %w", login.ErrNoVisit, err)
		}
		return err
	}
	client := served(t, host{
		login: func(ctx context.Context, wanted login.Wanted, at Terminal) error {
			at.Show(Begun{Wanted: wanted})
			return timedOut(ctx, true)
		},
		logout: func(ctx context.Context, _ Logout, at Leaving) error {
			at.Show("http://localhost:3000" + LogoutPath + "?id=1")
			return timedOut(ctx, false)
		},
	})
	limit := 10 * time.Millisecond
	at := Terminal{Show: func(Begun) {}, Timeout: limit}
	for name, err := range map[string]error{
		"login":  client.Login(t.Context(), login.Wanted{}, at),
		"logout": client.Logout(t.Context(), Logout{Timeout: limit}, Leaving{Show: func(string) {}}),
	} {
		timeout := new(login.TimeoutError)
		if !errors.As(err, &timeout) || timeout.Saw != login.TLSHello || !errors.Is(err, login.ErrTimeout) ||
			errors.Is(err, login.ErrNoVisit) != (name == "logout") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The folder among the temporary files, for paths that would be too long, goes with the last socket in it.
func TestShortFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no /tmp")
	}
	temporary, err := os.MkdirTemp("/tmp", "h") //nolint:usetesting // a socket's path is to fit
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	t.Setenv("TMPDIR", temporary)
	var servers []net.Listener
	state := "/" + strings.Repeat("long/", 30)
	for _, base := range []string{"http://localhost:3000", "http://localhost:3001"} {
		l, err := Listen(t.Context(), Socket(state, base))
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, l)
	}
	for i, l := range servers {
		_ = l.Close()
		left, err := os.ReadDir(temporary)
		if want := len(servers) - 1 - i; err != nil || len(left) != min(want, 1) {
			t.Errorf("with %d servers left: %v, %v", want, left, err)
		}
	}
}
