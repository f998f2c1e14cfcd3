package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// DefaultBaseURL is where the local server is unless it is configured.
const DefaultBaseURL = "http://localhost:3000"

// A PortTakenError says that a program, if known which, holds our port.
type PortTakenError struct {
	Port   int
	Addr   string
	Holder string // the program and its process ID; "" where the system does not tell
}

func (e *PortTakenError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another program"
	}
	return fmt.Sprintf("port %d is taken by %s: end it, or register another callback URL and give its --base-url (http://localhost:PORT)", e.Port, holder)
}

// ParseBaseURL checks a base URL: http, a loopback host, a port, and no path.
func ParseBaseURL(raw string) (*url.URL, error) {
	if raw == "" {
		raw = DefaultBaseURL
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("base URL %q: it must be http://localhost and a port, such as %s", raw, DefaultBaseURL)
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
	default:
		return nil, fmt.Errorf("base URL %q: the local server is on localhost, 127.0.0.1 or [::1] alone", raw)
	}
	if port := portOf(u); port < 1 || port > 65535 {
		return nil, fmt.Errorf("base URL %q: %q is no port", raw, u.Port())
	}
	return u, nil
}

func portOf(u *url.URL) int {
	if u.Port() == "" {
		return 80
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return -1
	}
	return port
}

// A Listener is bound to 127.0.0.1 and ::1: a browser may take either for localhost,
// and one that we lacked could be somebody else's.
type Listener struct {
	parts []net.Listener
}

// Listen binds the port of baseURL on both loopbacks. A family that the machine lacks
// is left out; an address in use on either is a *PortTakenError.
func Listen(ctx context.Context, baseURL string) (*Listener, error) {
	u, err := ParseBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	port := portOf(u)
	l := &Listener{}
	var lacking error
	for _, host := range []string{"127.0.0.1", "::1"} {
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		part, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		switch {
		case err == nil:
			l.parts = append(l.parts, part)
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			lacking = err
		default:
			_ = l.Close()
			if inUse(err) {
				return nil, &PortTakenError{Port: port, Addr: addr, Holder: holder(port)}
			}
			return nil, fmt.Errorf("listening on %s: %w", addr, syscallError(err))
		}
	}
	if len(l.parts) == 0 {
		return nil, fmt.Errorf("this machine has no loopback address: %w", syscallError(lacking))
	}
	return l, nil
}

func syscallError(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}

// Close frees the port.
func (l *Listener) Close() error {
	var errs []error
	for _, part := range l.parts {
		if err := part.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Limits on who talks to us.
const (
	headerLimit   = 16 << 10
	bodyLimit     = 256 << 10
	mostSilent    = 128 // connections that have not sent a request yet
	headerTimeout = 5 * time.Second
)

// Serve answers on both loopbacks until ctx ends, then lets answers that are under
// way finish, for a second at most, and frees the port.
func (l *Listener) Serve(ctx context.Context, handler http.Handler) error {
	silent := &silentConns{conns: map[net.Conn]time.Time{}}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, bodyLimit)
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: 30 * time.Second, MaxHeaderBytes: headerLimit,
		ConnState: silent.note, ErrorLog: nil,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	server.ErrorLog = discard
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
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		_ = server.Close()
	}
	serving.Wait()
	_ = l.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// silentConns closes the oldest connection that has said nothing when there are too
// many, so that whoever opens them all can't keep the real answer out.
type silentConns struct {
	mu    sync.Mutex
	conns map[net.Conn]time.Time
}

func (s *silentConns) note(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != http.StateNew {
		delete(s.conns, conn)
		return
	}
	if len(s.conns) >= mostSilent {
		var oldest net.Conn
		for c, since := range s.conns {
			if oldest == nil || since.Before(s.conns[oldest]) {
				oldest = c
			}
		}
		delete(s.conns, oldest)
		_ = oldest.Close()
	}
	s.conns[conn] = time.Now()
}
