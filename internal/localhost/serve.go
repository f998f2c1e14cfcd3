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

// discard takes net/http's log, which would show on the terminal what strangers send.
var discard = log.New(io.Discard, "", 0)

// Limits on requests.
const (
	headerLimit   = 64 << 10         // browsers send the cookies of every server on localhost
	bodyLimit     = 256 << 10        // under ownPath
	headerTimeout = 5 * time.Second  // from the first byte of a request to the end of its header
	bodyTimeout   = 30 * time.Second // for a body under ownPath
	drainTimeout  = 5 * time.Second  // for the rest of any other body, after its handler returned
	idleTimeout   = 30 * time.Second
	graceTimeout  = time.Second // for responses that are under way when Serve is to end
)

// ownPath begins the paths whose bodies are limited. A body elsewhere may be for an app behind the server, which limits
// it by itself.
const ownPath = "/auth/"

// Serve serves handler until ctx ends. Then it gives responses that are under way a second to finish, and frees the
// port or removes the socket.
func (l *Listener) Serve(ctx context.Context, handler http.Handler) error {
	strangers := &crowd{most: cmp.Or(l.most, mostStrangers()), seen: map[net.Conn]sighting{}}
	server := &http.Server{
		Handler:                      limitBodies(handler, l.ForApp),
		DisableGeneralOptionsHandler: l.ForApp,
		ReadHeaderTimeout:            headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerLimit,
		ConnState: strangers.note, ConnContext: strangers.introduce, ErrorLog: discard,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	failed := make(chan error, len(l.parts))
	var serving sync.WaitGroup
	hello := sync.OnceFunc(func() {
		if l.TLSHello != nil {
			l.TLSHello()
		}
	})
	for _, part := range l.parts {
		serving.Go(func() { failed <- server.Serve(plainListener{Patient(part), hello}) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	_ = l.Close()
	strangers.closeIdle() // Shutdown would wait for the spare connections of browsers
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

// limitBodies limits the size of bodies and the time that they take.
func limitBodies(next http.Handler, forApp bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		conn := http.NewResponseController(w)
		switch {
		case !forApp && strings.HasPrefix(r.URL.Path, ownPath):
			r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
			_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout))
		default: // net/http reads what the handler left
			defer func() { _ = conn.SetReadDeadline(time.Now().Add(drainTimeout)) }()
		}
		next.ServeHTTP(w, r)
	})
}
