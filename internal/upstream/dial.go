package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// IdleTimeout is how long a proxy keeps a connection that is not used. Servers close theirs after two seconds and more,
// at times just as a request is sent over it, which can't be sent again then: so the proxy closes it first.
const IdleTimeout = time.Second

const (
	dialTimeout   = 5 * time.Second // to look up the app's name, or to connect to it
	headerTimeout = 5 * time.Minute // until the response begins: a development server may compile first
)

// isOnThisMachine reports whether every address of host is a loopback one.
func isOnThisMachine(ctx context.Context, host string) (bool, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback(), nil
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return false, errors.New("no such host")
	}
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.Unmap().IsLoopback() }), nil
}

// transport connects to the app through no proxy. Where the app has to be on this machine, the address is checked at
// every connection: the name may lead elsewhere by then.
func (h *Handler) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !h.cfg.AllowRemote {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(address)
			if err != nil || !addr.Addr().Unmap().IsLoopback() {
				return ErrRemote
			}
			return nil
		}
	}
	return &http.Transport{
		DialContext:           h.dialer(dialer),
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		IdleConnTimeout:       IdleTimeout,
		MaxIdleConnsPerHost:   32,
		DisableCompression:    true, // the browser's own Accept-Encoding goes through
	}
}

// dialer connects to a server of this user's or root's, or to anyone's if Config.AllowRemote is set.
func (h *Handler) dialer(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	if h.cfg.AllowRemote {
		return dialer.DialContext
	}
	return DialOwn(dialer, h.cfg.Foreign)
}

// DialOwn returns a DialContext for servers on this machine that are this user's or root's, as foreign tells; any other
// is ErrForeign. Of localhost's two addresses another user may hold the one on which the server does not listen.
func DialOwn(
	dialer *net.Dialer, foreign func(net.Conn) bool,
) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil || !foreign(conn) {
			return conn, err
		}
		_ = conn.Close()
		if host, port, err := net.SplitHostPort(address); err == nil && strings.EqualFold(host, "localhost") {
			for _, host := range []string{"127.0.0.1", "::1"} {
				conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
				if err == nil && !foreign(conn) {
					return conn, nil
				}
				if err == nil {
					_ = conn.Close()
				}
			}
		}
		return nil, ErrForeign
	}
}
