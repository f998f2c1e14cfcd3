package handoff

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
)

// A Client asks the server at a socket. Its errors are ErrNoServer, ErrSilent, ErrEnded, ErrOtherSession, the cause of
// an ended context, and what the server reports. The sentinels of provider, keystore and internal/login, and the
// provider's diagnosis, are found in a reported error.
type Client struct {
	Socket  string // the path of the socket
	Session string // the name of the session; a server of another session refuses
}

// OneTimeURL implements Host.
func (c Client) OneTimeURL(ctx context.Context) (string, error) {
	t, err := c.ask(ctx, question{Open: true})
	if err != nil {
		return "", err
	}
	defer t.conn.Close()
	r, err := t.hearSoon(ctx)
	return r.URL, err
}

// Login implements Host. The provider may be slow, so the wait for the URL is limited by ctx alone.
func (c Client) Login(ctx context.Context, params url.Values, show func(url string)) error {
	t, err := c.ask(ctx, question{Params: params})
	if err != nil {
		return err
	}
	defer t.conn.Close()
	first, err := t.hear(ctx)
	if errors.Is(context.Cause(ctx), login.ErrTimeout) {
		return ErrSilent
	}
	if err != nil {
		return err
	}
	show(first.URL)
	_, err = t.hear(ctx)
	return err
}

// Logout implements Host.
func (c Client) Logout(ctx context.Context, l Logout, show func(url string)) error {
	t, err := c.ask(ctx, question{Leave: &l})
	if err != nil {
		return err
	}
	defer t.conn.Close()
	first, err := t.hearSoon(ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(first.URL, LogoutPath+"?") { // an older server takes every question for a login
		return ErrNoServer
	}
	show(first.URL)
	_, err = t.hear(ctx)
	return err
}

// A talk is a connection on which a question was asked.
type talk struct {
	conn  net.Conn
	lines *wire.Reader
}

func newTalk(conn net.Conn) *talk { return &talk{conn, wire.NewReader(conn, replyLimit)} }

// ask connects and asks. The caller closes the connection.
func (c Client) ask(ctx context.Context, q question) (*talk, error) {
	if private.Socket(c.Socket) != nil {
		return nil, ErrNoServer
	}
	dialer := net.Dialer{Timeout: soon}
	conn, err := dialer.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, ErrNoServer
	}
	_ = conn.SetWriteDeadline(time.Now().Add(soon))
	q.Session = c.Session
	if err := wire.Write(conn, &q); err != nil {
		_ = conn.Close()
		return nil, ErrNoServer
	}
	return newTalk(conn), nil
}

// hear waits for a reply as long as ctx allows.
func (t *talk) hear(ctx context.Context) (reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = t.conn.Close() })
	defer stop()
	var r reply
	err := t.lines.Read(&r)
	switch {
	case ctx.Err() != nil:
		return reply{}, context.Cause(ctx)
	case errors.Is(err, wire.ErrVersion):
		return reply{}, fmt.Errorf("the server that holds the port: %w", err)
	case err != nil:
		return reply{}, ErrEnded
	}
	return r, failures().Err(r.Failure)
}

// hearSoon is hear for a reply that the server gives at once.
func (t *talk) hearSoon(ctx context.Context) (reply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, soon, ErrSilent)
	defer cancel()
	return t.hear(ctx)
}
