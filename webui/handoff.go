package webui

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// The hand-off: a terminal's login that finds our port held by loopkey serve of the
// same person asks that server to make the login. They talk over a Unix socket in
// the state folder, which nobody else can enter.

// HandOffPath is where the server of a base URL takes such questions. Where the state
// folder's path is too long for a socket it is in a folder of the user's own among the
// temporary ones.
func HandOffPath(stateDir string, baseURL string) string {
	port := "80"
	if u, err := loopback.ParseBaseURL(baseURL); err == nil && u.Port() != "" {
		port = u.Port()
	}
	path := filepath.Join(stateDir, "serve-"+port+".sock")
	if len(path) <= longestSocket {
		return path
	}
	sum := sha256.Sum256([]byte(stateDir))
	name := fmt.Sprintf("loopkey-%d/%x-%s.sock", os.Getuid(), sum[:6], port)
	if short := filepath.Join(os.TempDir(), name); len(short) <= longestSocket {
		return short
	}
	return filepath.Join("/tmp", name)
}

// longestSocket is what fits everywhere into a socket's address, with its final zero.
const longestSocket = 103

const (
	handOffLine = 64 << 10
	handOffWait = 5 * time.Second // for a question to come, or an answer that nobody has to wait for
)

// question is what a terminal asks.
type question struct {
	Session string     `json:"session"` // its name: another profile's server must not answer
	Open    bool       `json:"open,omitempty"`
	Params  url.Values `json:"params,omitempty"` // of the login
	Leave   *Leave     `json:"leave,omitempty"`
}

// A Leave is the provider's own session, which a browser is to end.
type Leave struct {
	URL      string `json:"url"`             // of the provider; it may hold an ID token
	PlainURL string `json:"plain_url"`       // without one
	State    string `json:"state,omitempty"` // comes back with the browser; "": the provider sends none back
}

// reply is what the server answers: a URL first, and for a login or a logout the outcome after it.
type reply struct {
	URL   string `json:"url,omitempty"`
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
	Next  string `json:"next,omitempty"`
	Kind  string `json:"kind,omitempty"`
}

// kinds are the states that a terminal tells apart, by the names under which they travel.
func kinds() map[string]error {
	return map[string]error{
		"untrusted": provider.ErrUntrusted, "refused": provider.ErrRefused, "unreachable": provider.ErrUnreachable,
		"keystore": session.ErrKeystore, "timeout": loopback.ErrTimeout,
	}
}

// A HandOffError is what went wrong in the server, with the state that it was there.
type HandOffError struct {
	Text, Advice string
	kind         error
}

func (e *HandOffError) Error() string { return e.Text }

// Unwrap returns the state that a command tells apart, or nil.
func (e *HandOffError) Unwrap() error { return e.kind }

// ErrNoServer says that no server of ours takes questions there.
var ErrNoServer = errors.New("no loopkey serve runs there")

var errNoAnswer = errors.New("loopkey serve, which holds the port, does not answer: end it and start it anew")

// AnswerTerminals takes the questions of terminals until ctx ends.
func (s *Server) AnswerTerminals(ctx context.Context, listener net.Listener) error {
	var answering sync.WaitGroup
	defer answering.Wait()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("taking questions of terminals: %w", err)
		}
		answering.Go(func() {
			defer conn.Close()
			s.answerTerminal(ctx, conn)
		})
	}
}

func (s *Server) answerTerminal(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = conn.SetReadDeadline(time.Now().Add(handOffWait))
	reader := bufio.NewReader(io.LimitReader(conn, handOffLine))
	line, err := reader.ReadBytes('\n')
	var q question
	if err != nil || json.Unmarshal(line, &q) != nil {
		return
	}
	send := func(r reply) {
		_ = conn.SetWriteDeadline(time.Now().Add(handOffWait))
		_ = json.NewEncoder(conn).Encode(r)
	}
	if q.Session != s.cfg.Session.Name() {
		send(reply{Error: "the port is held by loopkey serve of another profile, issuer or client", Next: "end it, or give another --base-url"})
		return
	}
	if q.Open {
		send(reply{URL: s.OneTimeURL()})
		return
	}
	// The terminal says no more: when its end of the line closes, it has stopped waiting.
	_ = conn.SetReadDeadline(time.Time{})
	go func() {
		_, _ = reader.ReadByte()
		cancel()
	}()
	if q.Leave != nil {
		s.leave(ctx, *q.Leave, send)
		return
	}
	pending, err := s.Login(ctx, loopback.Request{Params: q.Params, CLI: true})
	if err != nil {
		send(s.failure(err))
		return
	}
	defer s.flow.Drop(pending)
	send(reply{URL: pending.URL})
	if _, err := pending.Wait(ctx); err != nil {
		send(s.failure(err))
		return
	}
	send(reply{Done: true})
}

// leave leads a browser to the provider's logout for a terminal. Without a state it is not known when it comes back.
func (s *Server) leave(ctx context.Context, l Leave, send func(reply)) {
	s.watch.refresh(ctx, true) // the session is gone, so the browser comes back to a page that says so
	t := &terminal{sent: make(chan struct{}), back: make(chan struct{})}
	id := s.logouts.add(l.State, leaving{session.Ended{EndSessionURL: l.URL, EndSessionPlainURL: l.PlainURL}, t})
	send(reply{URL: strings.TrimSuffix(s.cfg.BaseURL, "/") + endedPath + id})
	done := t.back
	if l.State == "" {
		done = t.sent
	}
	select {
	case <-done:
		send(reply{Done: true})
	case <-ctx.Done():
	}
}

// endedPath leads a browser to the provider's logout, once.
const endedPath = "/auth/ended?id="

// Login begins a login for somebody who is not a browser of ours: a terminal, or the
// program that serves.
func (s *Server) Login(ctx context.Context, r loopback.Request) (*loopback.Pending, error) {
	return s.flow.Begin(ctx, r)
}

func (s *Server) failure(err error) reply {
	r := reply{Error: err.Error(), Next: s.cfg.Advice(err)}
	for kind, is := range kinds() {
		if errors.Is(err, is) {
			r.Kind = kind
		}
	}
	return r
}

// HandOff asks the server at path to log in for the named session, calls show with the
// URL to open, and returns when the login is stored. ErrNoServer where there is none.
func HandOff(ctx context.Context, path, name string, params url.Values, show func(url string)) error {
	conn, lines, err := ask(ctx, path, question{Session: name, Params: params})
	if err != nil {
		return err
	}
	defer conn.Close()
	first, err := hear(ctx, conn, lines) // the provider may be slow, so it has as long as the person
	if errors.Is(context.Cause(ctx), loopback.ErrTimeout) {
		return errNoAnswer
	}
	if err != nil {
		return err
	}
	show(first.URL)
	_, err = hear(ctx, conn, lines)
	return err
}

// HandOffLogout asks the server at path to lead a browser to the provider's logout, calls show with the URL to open,
// and returns when the browser is back; without a state, when it went there. ErrNoServer where there is none.
func HandOffLogout(ctx context.Context, path, name string, l Leave, show func(url string)) error {
	conn, lines, err := ask(ctx, path, question{Session: name, Leave: &l})
	if err != nil {
		return err
	}
	defer conn.Close()
	first, err := hearSoon(ctx, conn, lines)
	if err != nil {
		return err
	}
	if !strings.Contains(first.URL, endedPath) { // an older server takes any question for one about a login
		return ErrNoServer
	}
	show(first.URL)
	_, err = hear(ctx, conn, lines)
	return err
}

// AskOneTimeURL asks the server at path for a fresh one-time URL. ErrNoServer where there is none.
func AskOneTimeURL(ctx context.Context, path, name string) (string, error) {
	conn, lines, err := ask(ctx, path, question{Session: name, Open: true})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	r, err := hearSoon(ctx, conn, lines)
	return r.URL, err
}

func ask(ctx context.Context, path string, q question) (net.Conn, *bufio.Reader, error) {
	if private.Socket(path) != nil {
		return nil, nil, ErrNoServer
	}
	dialer := net.Dialer{Timeout: handOffWait}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, nil, ErrNoServer
	}
	_ = conn.SetWriteDeadline(time.Now().Add(handOffWait))
	if err := json.NewEncoder(conn).Encode(q); err != nil {
		_ = conn.Close()
		return nil, nil, ErrNoServer
	}
	return conn, bufio.NewReader(io.LimitReader(conn, 4*handOffLine)), nil
}

// hear waits for a line as long as ctx does.
func hear(ctx context.Context, conn net.Conn, lines *bufio.Reader) (reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	line, err := lines.ReadBytes('\n')
	if ctx.Err() != nil {
		return reply{}, context.Cause(ctx)
	}
	var r reply
	if err != nil || json.Unmarshal(line, &r) != nil {
		return r, errors.New("loopkey serve, which holds the port, ended")
	}
	if r.Error != "" {
		return r, &HandOffError{Text: r.Error, Advice: r.Next, kind: kinds()[r.Kind]}
	}
	return r, nil
}

// hearSoon is hear for what the server says at once.
func hearSoon(ctx context.Context, conn net.Conn, lines *bufio.Reader) (reply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handOffWait, errNoAnswer)
	defer cancel()
	return hear(ctx, conn, lines)
}
