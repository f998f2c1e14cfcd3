package loopback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
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
	most  int // strangers' connections; 0: mostStrangers
}

// Listen binds the port of baseURL on both loopbacks. A family that the machine lacks
// is left out; an address in use on either is a *PortTakenError.
func Listen(ctx context.Context, baseURL string) (*Listener, error) {
	u, err := ParseBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	return listenOn(ctx, portOf(u), "127.0.0.1", "::1")
}

func listenOn(ctx context.Context, port int, hosts ...string) (*Listener, error) {
	l := &Listener{}
	var missing error
	for _, host := range hosts {
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		part, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		switch {
		case err == nil:
			l.parts = append(l.parts, part)
		case lacking(err):
			missing = err
		default:
			_ = l.Close()
			if inUse(err) {
				return nil, &PortTakenError{Port: port, Addr: addr, Holder: holder(port)}
			}
			return nil, fmt.Errorf("listening on %s: %w", addr, syscallError(err))
		}
	}
	if len(l.parts) == 0 {
		return nil, fmt.Errorf("this machine has no loopback address: %w", syscallError(missing))
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
