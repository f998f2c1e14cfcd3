package handoff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/wire"
)

// Serve takes the questions of terminals about the named session until ctx ends, and has host do what they ask for.
func Serve(ctx context.Context, listener net.Listener, session string, host Host) error {
	var serving sync.WaitGroup
	defer serving.Wait()
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
		serving.Go(func() { serve(ctx, conn, session, host) })
	}
}

// serve replies to the one question that comes on conn, and closes conn.
func serve(ctx context.Context, conn net.Conn, session string, host Host) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer conn.Close()
	send := func(r reply) {
		_ = conn.SetWriteDeadline(time.Now().Add(soon))
		_ = wire.Write(conn, &r)
	}
	_ = conn.SetReadDeadline(time.Now().Add(soon))
	var q question
	if err := wire.NewReader(conn, questionLimit).Read(&q); err != nil {
		if errors.Is(err, wire.ErrVersion) {
			send(reply{Header: failures().Failed(err)})
		}
		return
	}
	if q.Session != session {
		send(reply{Header: failures().Failed(ErrOtherSession)})
		return
	}
	// The terminal says no more. Its end of the connection closes when it stops waiting.
	_ = conn.SetReadDeadline(time.Time{})
	watching.Go(func() {
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	})
	show := func(url string) { send(reply{URL: url}) }
	var err error
	switch {
	case q.Open:
		var oneTime string
		if oneTime, err = host.OneTimeURL(ctx); err == nil {
			show(oneTime)
			return
		}
	case q.Leave != nil:
		err = host.Logout(ctx, *q.Leave, show)
	default:
		err = host.Login(ctx, q.Params, show)
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return // one of the two ends stopped, which says nothing about what was asked for
	}
	send(reply{Header: failures().Failed(err), Done: err == nil})
}
