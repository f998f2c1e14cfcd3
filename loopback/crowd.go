package loopback

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A crowd is the connections of those who have shown nothing yet: silent ones, those with
// half a request, those that send a body or take their answer a byte at a time. With too
// many of them the oldest is closed, so that whoever opens them all can't keep the real
// answer out. A browser opens an idle one anew.
type crowd struct {
	most int

	mu    sync.Mutex
	turns uint64
	seen  map[net.Conn]sighting
}

// A sighting is at which turn a connection came, or sent its first request, and whether one is under way on it. Later
// requests make it no younger: of those a stranger can send as many as they like.
type sighting struct {
	turn        uint64
	busy, asked bool
}

// A caller is the connection of a request, and what was found out about its other end.
type caller struct {
	crowd *crowd
	conn  net.Conn

	mu   sync.Mutex
	peer peer
}

type callerKey struct{}

// introduce lets Trust, Foreign and Own find the connection of a request.
func (c *crowd) introduce(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, callerKey{}, &caller{crowd: c, conn: conn})
}

// Trust is called for a request that has shown what no stranger can: a state that waits
// here, or the cookie of a browser that is known. Its connection does not have to make
// room for others until the request is answered. On a server that is not Serve's it
// does nothing.
func Trust(r *http.Request) {
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok {
		c.crowd.forget(c.conn)
	}
}

// note hears of a new state; a connection is active once the header of its request was read.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew, http.StateIdle, http.StateActive:
		c.add(conn, state == http.StateActive)
	case http.StateHijacked, http.StateClosed:
		c.forget(conn)
	}
}

func (c *crowd) add(conn net.Conn, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, known := c.seen[conn]
	if !known && len(c.seen) >= c.most {
		var oldest net.Conn
		for other, sighting := range c.seen {
			if oldest == nil || sighting.turn < c.seen[oldest].turn {
				oldest = other
			}
		}
		delete(c.seen, oldest)
		_ = oldest.Close()
	}
	c.turns++
	now := sighting{c.turns, busy, was.asked || busy}
	if was.asked {
		now.turn = was.turn
	}
	c.seen[conn] = now
}

func (c *crowd) forget(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, conn)
}

func (c *crowd) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn, sighting := range c.seen {
		if !sighting.busy {
			_ = conn.Close()
			delete(c.seen, conn)
		}
	}
}
