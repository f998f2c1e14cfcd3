package handoff

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/wire"
)

// Serve takes the questions of terminals for holder until ctx ends, and has host do what they ask for. Where the system
// gives it no connection, as when the process has too many open files, it tries again: that ends no server.
func Serve(ctx context.Context, listener net.Listener, holder Holder, host Host) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	listener = localhost.Patient(listener)
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
		serving.Go(func() { serve(ctx, conn, holder, host) })
	}
}

// A line is the server's side of a connection.
type line struct {
	conn net.Conn
	mu   sync.Mutex
}

func (l *line) send(r reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(soon))
	_ = wire.Write(l.conn, &r)
}

// serve replies to the one question that comes on conn, and closes conn.
func serve(ctx context.Context, conn net.Conn, holder Holder, host Host) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer conn.Close()
	l := &line{conn: conn}
	messages := wire.NewReader(conn, questionLimit)
	_ = conn.SetReadDeadline(time.Now().Add(soon))
	var q question
	if err := messages.Read(&q); err != nil {
		if errors.Is(err, wire.ErrVersion) {
			l.send(reply{Header: failures().Failed(ErrOtherVersion)})
		}
		return
	}
	if err := holder.check(Holder{q.Session, q.Setup}, q.Leave != nil); err != nil {
		l.send(reply{Header: failures().Failed(err)})
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	pasted := make(chan string)
	watching.Go(func() {
		defer cancel() // the terminal's end of the connection closes when it stops waiting
		hearPasted(ctx, messages, pasted)
	})
	doing, stop := ctx, func() {}
	if limit := q.limit(); limit > 0 {
		doing, stop = clock.WithTimeoutCause(ctx, limit, login.ErrTimeout)
	}
	defer stop()
	err := do(doing, l, host, q, pasted)
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return // one of the two ends stopped, which says nothing about what was asked for
	}
	l.send(reply{Header: failures().Failed(err), Done: err == nil})
}

// limit returns how long the terminal wants to wait; 0: it tells when it waits no longer.
func (q question) limit() time.Duration {
	if q.Leave != nil {
		return q.Leave.Timeout
	}
	return q.Timeout
}

// do does what a terminal asks for.
func do(ctx context.Context, l *line, host Host, q question, pasted <-chan string) error {
	switch {
	case q.Open:
		return host.Open(ctx, func(o Opened) { l.send(reply{Opened: &o}) })
	case q.Leave != nil:
		return host.Logout(ctx, *q.Leave, Leaving{
			Show: func(url string) { l.send(reply{Leave: url}) },
			Left: func() {
				if q.Leave.Timeout > 0 { // a terminal that gives none may take any reply for the last
					l.send(reply{Left: true})
				}
			},
		})
	case q.Login != nil:
		return host.Login(ctx, *q.Login, Terminal{
			Show:     func(b Begun) { l.send(reply{Begun: &b}) },
			Pasted:   pasted,
			Rejected: func(reason string) { l.send(reply{Rejected: reason}) },
		})
	}
	return errors.New("the question asks for nothing")
}

// hearPasted hands on what a terminal says after its question, until it says no more or ctx ends.
func hearPasted(ctx context.Context, messages *wire.Reader, pasted chan<- string) {
	for {
		var p paste
		if messages.Read(&p) != nil {
			return
		}
		select {
		case pasted <- p.Text:
		case <-ctx.Done():
			return
		}
	}
}
