package localhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/loopkey/loopkey/internal/localurl"
)

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
	return fmt.Sprintf("port %d is taken by %s", e.Port, holder)
}

// A Listener is bound to 127.0.0.1 and ::1: a browser may take either for localhost,
// and one that we lacked could be somebody else's.
type Listener struct {
	parts []net.Listener
	most  int // strangers' connections; 0: mostStrangers
}

// Listen binds the port of baseURL on both loopbacks. A family that the machine lacks is left out; an address in use on
// either is a *PortTakenError.
func Listen(ctx context.Context, baseURL string) (*Listener, error) {
	u, err := localurl.ParseBase(baseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL %q %w", baseURL, err)
	}
	return ListenPort(ctx, localurl.Port(u))
}

// ListenPort is Listen for a port. 0 stands for one that is free on both loopbacks, which Listener.Port tells.
func ListenPort(ctx context.Context, port int) (*Listener, error) {
	l, err := listenOn(ctx, port, "127.0.0.1", "::1")
	for range mostTries {
		if _, taken := errors.AsType[*PortTakenError](err); port != 0 || !taken {
			break
		}
		l, err = listenOn(ctx, port, "127.0.0.1", "::1")
	}
	return l, err
}

// mostTries is how many ports that are free on one loopback may be taken on the other.
const mostTries = 20

// Port returns the port.
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
			port = l.Port() // which may have been 0
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
