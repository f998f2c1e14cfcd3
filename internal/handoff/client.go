package handoff

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
)

// A Client asks the server at a socket. Its errors are the sentinels of this package, *SetupError, the cause of an
// ended context, and what the server reports. The sentinels of provider, keystore and internal/login, and the
// provider's diagnosis, are found in a reported error.
type Client struct {
	Socket string // the path of the socket
	Holder Holder // what the server must be
}

var _ Host = Client{}

// Open implements Host.
func (c Client) Open(ctx context.Context, show func(Opened)) error {
	t, err := c.ask(ctx, question{Open: true})
	if err != nil {
		return err
	}
	defer t.conn.Close()
	first, err := t.hearSoon(ctx)
	if err != nil {
		return err
	}
	if first.Opened == nil {
		return ErrOtherVersion
	}
	show(*first.Opened)
	_, err = t.hear(ctx)
	return err
}

// limited limits ctx to a time that the server keeps, which can tell what came in place of a browser, and to some
// seconds more for its reply.
func limited(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return clock.WithTimeoutCause(ctx, timeout+soon, login.ErrTimeout)
}

// Login implements Host. The provider may be slow, so the wait for the URL has no limit of its own.
func (c Client) Login(ctx context.Context, wanted login.Wanted, at Terminal) error {
	ctx, cancel := limited(ctx, at.Timeout)
	defer cancel()
	t, err := c.ask(ctx, question{Login: &wanted, Timeout: at.Timeout})
	if err != nil {
		return err
	}
	defer t.conn.Close()
	first, err := t.hear(ctx)
	switch {
	case errors.Is(err, login.ErrTimeout) && errors.Is(context.Cause(ctx), login.ErrTimeout):
		return ErrSilent
	case err != nil:
		return err
	case first.Begun == nil || !first.Begun.Wanted.Equal(wanted): // nobody waits for a login that they did not ask for
		return ErrOtherLogin
	}
	at.Show(*first.Begun)
	var sending sync.WaitGroup
	defer sending.Wait()
	pasting, stop := context.WithCancel(ctx)
	defer stop()
	sending.Go(func() { t.paste(pasting, at.Pasted) })
	for {
		r, err := t.hear(ctx)
		if err != nil || r.Done {
			return err
		}
		if r.Rejected != "" && at.Rejected != nil {
			at.Rejected(r.Rejected)
		}
	}
}

// Logout implements Host.
func (c Client) Logout(ctx context.Context, l Logout, at Leaving) error {
	ctx, cancel := limited(ctx, l.Timeout)
	defer cancel()
	t, err := c.ask(ctx, question{Leave: &l})
	if err != nil {
		return err
	}
	defer t.conn.Close()
	first, err := t.hearSoon(ctx)
	if err != nil {
		return err
	}
	at.Show(first.Leave)
	for {
		r, err := t.hear(ctx)
		if err != nil || r.Done {
			return err
		}
		if r.Left {
			at.Left()
		}
	}
}

// A talk is a connection on which a question was asked.
type talk struct {
	conn  net.Conn
	lines *wire.Reader
}

func newTalk(conn net.Conn) *talk { return &talk{conn, wire.NewReader(conn, replyLimit)} }

// There reports whether a server is at the socket. It asks it for nothing.
func (c Client) There(ctx context.Context) bool {
	if private.Socket(c.Socket) != nil {
		return false
	}
	dialer := net.Dialer{Timeout: soon}
	conn, err := dialer.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Fits reports whether a server is at the socket that works for the same session, with another keystore maybe. Its
// error is ErrNoServer, ErrOtherSession, ErrOtherVersion or ErrSilent.
func (c Client) Fits(ctx context.Context) error {
	t, err := c.ask(ctx, question{})
	if err != nil {
		return err
	}
	defer t.conn.Close()
	_, err = t.hearSoon(ctx) // there was nothing to do
	for _, kind := range []error{ErrOtherSession, ErrOtherVersion, ErrSilent, ErrEnded} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

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
	q.Session, q.Setup = c.Holder.Session, c.Holder.Setup
	if err := wire.Write(conn, &q); err != nil {
		_ = conn.Close()
		return nil, ErrNoServer
	}
	return newTalk(conn), nil
}

// paste sends what is pasted until ctx ends.
func (t *talk) paste(ctx context.Context, texts <-chan string) {
	for {
		select {
		case <-ctx.Done():
			return
		case text, ok := <-texts:
			if !ok {
				return
			}
			_ = t.conn.SetWriteDeadline(time.Now().Add(soon))
			_ = wire.Write(t.conn, &paste{Text: text}) // if the server has ended, hear says so
		}
	}
}

// hear waits for a reply as long as ctx allows.
func (t *talk) hear(ctx context.Context) (reply, error) {
	stop := context.AfterFunc(ctx, func() { _ = t.conn.Close() })
	defer stop()
	var r reply
	err := t.lines.Read(&r)
	switch {
	case err == nil: // even if ctx ended meanwhile: what was done is done
		return r, failures().Err(r.Failure)
	case ctx.Err() != nil:
		return reply{}, context.Cause(ctx)
	case errors.Is(err, wire.ErrVersion):
		return reply{}, ErrOtherVersion
	default:
		return reply{}, ErrEnded
	}
}

// hearSoon is hear for a reply that the server gives at once.
func (t *talk) hearSoon(ctx context.Context) (reply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, soon, ErrSilent)
	defer cancel()
	return t.hear(ctx)
}
