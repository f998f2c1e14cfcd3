package localhost

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// discard: what strangers send us is nobody's to read on a terminal.
var discard = log.New(io.Discard, "", 0)

// Limits on who talks to us.
const (
	headerLimit   = 64 << 10 // the cookies of every server on localhost come here
	bodyLimit     = 256 << 10
	headerTimeout = 5 * time.Second  // from the first byte of a request to the end of its header
	bodyTimeout   = 30 * time.Second // for a body sent to us
	drainTimeout  = 5 * time.Second  // for the rest of another one that nobody read
	idleTimeout   = 30 * time.Second
	graceTimeout  = time.Second // for answers under way when it ends
)

// Serve answers on both loopbacks until ctx ends, then lets answers that are under
// way finish, for a second at most, and frees the port. Bodies sent to /auth/ are
// limited; other paths may be an app's, which knows how much it takes.
func (l *Listener) Serve(ctx context.Context, handler http.Handler) error {
	strangers := &crowd{most: cmp.Or(l.most, mostStrangers()), seen: map[net.Conn]sighting{}}
	server := &http.Server{
		Handler:           limitBodies(handler),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerLimit,
		ConnState: strangers.note, ConnContext: strangers.introduce, ErrorLog: discard,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, len(l.parts))
	var serving sync.WaitGroup
	for _, part := range l.parts {
		serving.Go(func() { failed <- server.Serve(part) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	_ = l.Close()
	strangers.closeIdle() // Shutdown would wait for a browser's spare connection
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTimeout)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close()
	}
	serving.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func limitBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		switch {
		case r.ContentLength == 0:
		case strings.HasPrefix(r.URL.Path, "/auth/"):
			r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
			_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout))
		default: // the server reads what the handler left
			defer func() { _ = conn.SetReadDeadline(time.Now().Add(drainTimeout)) }()
		}
		next.ServeHTTP(w, r)
	})
}
