package localhost

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Limits of the pause after a connection that could not be accepted.
const (
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second
)

// Patient returns l with an Accept that fails only when l is closed. Whatever else keeps a connection from being
// accepted (no file or memory left, a network that went down) passes, and should end no server. Accept then waits for a
// time that grows to a second, and tries again.
func Patient(l net.Listener) net.Listener { return &patient{Listener: l, closed: make(chan struct{})} }

type patient struct {
	net.Listener
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (p *patient) Accept() (net.Conn, error) {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		conn, err := p.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-p.closed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Close implements net.Listener.
func (p *patient) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Listener.Close()
}

// plainListener accepts connections that speak plain HTTP. It calls hello for each that begins with TLS.
type plainListener struct {
	net.Listener
	hello func()
}

// Accept implements net.Listener.
func (l plainListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
		return &plainConn{TCPConn: tcp, hello: l.hello}, nil
	}
	return conn, err
}

// A plainConn ends at once where its other end begins TLS, as browsers do that try https first. No text of HTTP would
// help them, and a plain close lets them go on with http.
type plainConn struct {
	*net.TCPConn
	begun bool
	hello func()
}

// handshake is the first byte of a TLS connection (RFC 8446, section 5.1). No HTTP request begins with it.
const handshake = 0x16

// Read implements net.Conn.
func (c *plainConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 && !c.begun {
		c.begun = true
		if p[0] == handshake {
			c.hello()
			return 0, io.EOF
		}
	}
	return n, err
}
