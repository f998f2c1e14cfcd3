package secrets

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

const (
	mostAuthLine = 4 << 10 // bytes of the reply to the authentication
	mostStrays   = 1000    // messages between a call and its reply: signals
)

// A conn is a connection to the D-Bus session. Calls are queued and sent together, the authentication with the first of
// them, so that a wait for replies is the only wait. It negotiates no file descriptors, so none can be sent to it.
type conn struct {
	socket  net.Conn
	in      []byte // what was read and is not used yet
	out     []byte // what is queued
	serial  uint32
	replies map[uint32]*message // nil: the reply did not come yet
	greeted bool                // the authentication succeeded
	failed  error               // why no more can be read
}

func dial(ctx context.Context, address string) (*conn, error) {
	path, err := socketOf(address)
	if err != nil {
		return nil, err
	}
	socket, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	c := &conn{socket: socket, replies: map[uint32]*message{}}
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	c.out = append(c.out, "\x00AUTH EXTERNAL "+uid+"\r\nBEGIN\r\n"...)
	c.queue(call{busName, busPath, busName, "Hello", "", nil})
	return c, nil
}

func (c *conn) close() { _ = c.socket.Close() }

// queue queues a call and returns its serial.
func (c *conn) queue(what call) uint32 {
	c.serial++
	c.out = what.encode(c.out, c.serial)
	c.replies[c.serial] = nil
	return c.serial
}

// forget drops the reply to a call.
func (c *conn) forget(serial uint32) { delete(c.replies, serial) }

// wait sends what is queued, and returns the reply to the call when it has come. It waits no longer than ctx. After an
// error that is no *Error nothing more can be asked. The connection stays open, for it may own a name.
func (c *conn) wait(ctx context.Context, serial uint32, signature string) (*decoder, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	if c.replies[serial] == nil || len(c.out) > 0 {
		stop := context.AfterFunc(ctx, func() { _ = c.socket.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		if c.failed = c.exchange(serial); c.failed != nil {
			if ctx.Err() != nil {
				c.failed = context.Cause(ctx)
			}
			return nil, c.failed
		}
	}
	m := c.replies[serial]
	delete(c.replies, serial)
	return m.result(signature)
}

func (c *conn) exchange(serial uint32) error {
	if len(c.out) > 0 {
		if _, err := c.socket.Write(c.out); err != nil {
			return err
		}
		c.out = c.out[:0]
	}
	if !c.greeted {
		if err := c.greet(); err != nil {
			return err
		}
	}
	for range mostStrays {
		if c.replies[serial] != nil {
			return nil
		}
		m, err := c.read()
		if err != nil {
			return err
		}
		if asked, ok := c.replies[m.replyTo]; ok && asked == nil && (m.kind == methodReturn || m.kind == errorReply) {
			c.replies[m.replyTo] = &m
		}
	}
	return errMessage
}

// greet reads the reply to the authentication.
func (c *conn) greet() error {
	for {
		if line, rest, ok := bytes.Cut(c.in, []byte("\r\n")); ok {
			if !bytes.HasPrefix(line, []byte("OK ")) {
				return errors.New("the D-Bus session refuses this user")
			}
			c.in, c.greeted = rest, true
			return nil
		}
		if len(c.in) > mostAuthLine {
			return errMessage
		}
		if err := c.fill(len(c.in) + 1); err != nil {
			return err
		}
	}
}

// read returns the next message.
func (c *conn) read() (m message, err error) {
	if err := c.fill(fixedHeader); err != nil {
		return m, err
	}
	fields, body, err := sizes(c.in)
	if err != nil {
		return m, err
	}
	size := fixedHeader + fields + body
	if err := c.fill(size); err != nil {
		return m, err
	}
	m, err = decodeMessage(c.in[:size:size])
	c.in = c.in[size:] // never written to again: what was decoded stays as it is
	return m, err
}

// fill reads until there are n bytes. What another program claims to send is no reason to allocate it all at once.
func (c *conn) fill(n int) error {
	for len(c.in) < n {
		if len(c.in) == cap(c.in) {
			more := min(max(n-len(c.in), 4<<10), max(len(c.in), 64<<10))
			c.in = append(make([]byte, 0, len(c.in)+more), c.in...)
		}
		got, err := c.socket.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+got]
		if len(c.in) < n && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
