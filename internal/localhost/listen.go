package localhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/localurl"
)

// A PortTakenError says that another program has bound a port.
type PortTakenError struct {
	Port   int
	Addr   string // that could not be bound: a loopback address and the port
	Holder string // the program and its process ID; "" where the system does not tell
}

func (e *PortTakenError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another program"
	}
	return fmt.Sprintf("port %d is taken by %s", e.Port, holder)
}

// A PortDeniedError says that the system lets this user bind a port on no address, though no program has it.
type PortDeniedError struct {
	Port     int
	Reserved bool // Windows keeps it, for Hyper-V or WSL; else it is for administrators
}

func (e *PortDeniedError) Error() string {
	if e.Reserved {
		return fmt.Sprintf("Windows keeps port %d for itself, though no program has it", e.Port)
	}
	return fmt.Sprintf("port %d may not be bound by this user", e.Port)
}

// A PortsTakenError says that none of several ports can be bound.
type PortsTakenError struct {
	Errs []error // of each port, a *PortTakenError or *PortDeniedError
}

func (e *PortsTakenError) Error() string {
	reasons := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		reasons[i] = err.Error()
	}
	return "none of the callback ports is free: " + strings.Join(reasons, ", ")
}

func (e *PortsTakenError) Unwrap() []error { return e.Errs }

// responds reports whether a program accepts connections at a loopback address.
func responds(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// A Listener is bound to 127.0.0.1 and ::1. A browser may take either for localhost, and another program could bind one
// that was left. That of ListenSocket is bound to a Unix socket.
type Listener struct {
	// TLSHello is called when a browser first begins TLS on a connection, which is closed: only plain HTTP is served. It
	// is set before Serve is called; nil: nothing is called.
	TLSHello func()
	// ForApp says that every request is for a program behind the server, which limits bodies by itself.
	ForApp bool

	parts []net.Listener
	most  int // connections of strangers; 0: mostStrangers
}

// Listen binds the port of baseURL on both loopbacks. A family that the machine lacks is left out; an address in use on
// either is a *PortTakenError, one that this user may not bind a *PortDeniedError.
func Listen(ctx context.Context, baseURL string) (*Listener, error) {
	u, err := localurl.Base(baseURL)
	if err != nil {
		return nil, err
	}
	return ListenPort(ctx, localurl.Port(u))
}

// mostTries limits how many ports that the system gives away on one loopback may be in use on the other.
const mostTries = 20

// ListenPort is Listen for a port. 0 binds one that is free on both loopbacks; Listener.Port returns which.
func ListenPort(ctx context.Context, port int) (*Listener, error) {
	l, err := listenOn(ctx, port, "127.0.0.1", "::1")
	for range mostTries {
		if port != 0 || !errors.As(err, new(*PortTakenError)) {
			break
		}
		l, err = listenOn(ctx, port, "127.0.0.1", "::1")
	}
	return l, err
}

// ListenFirst is ListenPort for the first of several ports that can be bound. passed are the reasons against those that
// come before it. The error about several ports is a *PortsTakenError.
func ListenFirst(ctx context.Context, ports ...int) (l *Listener, passed []error, err error) {
	for _, port := range ports {
		l, err = ListenPort(ctx, port)
		if err == nil {
			return l, passed, nil
		}
		if !errors.As(err, new(*PortTakenError)) && !errors.As(err, new(*PortDeniedError)) {
			return nil, nil, err
		}
		passed = append(passed, err)
	}
	if len(passed) > 1 {
		err = &PortsTakenError{passed}
	}
	return nil, nil, err
}

// ListenAt is ListenPort for one loopback address alone, in place of both.
func ListenAt(ctx context.Context, address netip.Addr, port int) (*Listener, error) {
	return listenOn(ctx, port, address.String())
}

// Port returns the port that is bound.
func (l *Listener) Port() int { return l.parts[0].Addr().(*net.TCPAddr).Port }

func listenOn(ctx context.Context, port int, hosts ...string) (*Listener, error) {
	l := &Listener{}
	var missing error
	for _, host := range hosts {
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		part, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		switch {
		case err == nil:
			l.parts = append(l.parts, part)
			port = l.Port() // if it was 0, the next address gets the same one
		case lacking(err):
			missing = err
		default:
			_ = l.Close()
			if denied(err) && !responds(ctx, addr) {
				return nil, &PortDeniedError{Port: port, Reserved: runtime.GOOS == "windows"}
			}
			if inUse(err) || denied(err) {
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

// syscallError returns what the system said, without the words that package net adds.
func syscallError(err error) error {
	if e := new(net.OpError); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// Close frees the port. Serve does so too.
func (l *Listener) Close() error {
	var errs []error
	for _, part := range l.parts {
		if err := part.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
