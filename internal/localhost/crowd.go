package localhost

import (
	"net"
	"net/http"
	"sync"
)

// A crowd is the connections of a server. It limits those of strangers: connections on which no request was trusted,
// such as silent ones, those with half a request, and those that send or take a body a byte at a time. If there are too
// many, it closes the oldest, so that nobody who opens many keeps the provider's response out. A browser whose idle
// connection was closed opens another.
type crowd struct {
	most int // connections of strangers

	mu    sync.Mutex
	turns uint64 // counts the changes of state, as a clock for ages
	seen  map[net.Conn]sighting
}

// A sighting is what a crowd knows of a connection. The connection is as old as its opening or its first request,
// whichever was later. Further requests make it no younger, for a stranger can send as many as they like.
type sighting struct {
	turn    uint64 // when its age began
	busy    bool   // a request is under way
	asked   bool   // a request was begun
	trusted bool   // the request that is under way was trusted
}

// Trust exempts the connection of r from the limit on strangers until r is served. It is for a request that has shown
// what no stranger can, such as the state of a login that waits, or the cookie of a known browser. On a server that is
// not Serve's it does nothing.
func Trust(r *http.Request) {
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok {
		c.crowd.trust(c.conn)
	}
}

// note is an http.Server's ConnState. A connection is active once the header of a request was read.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, known := c.seen[conn]
	switch {
	case state == http.StateHijacked, state == http.StateClosed:
		delete(c.seen, conn)
		return
	case !known && state != http.StateNew: // it was closed; the request that was read before is still served, to nobody
		return
	}
	c.turns++
	now := sighting{turn: c.turns, busy: state == http.StateActive, asked: was.asked || state == http.StateActive}
	if was.asked && !was.trusted {
		now.turn = was.turn
	}
	c.seen[conn] = now
	if len(c.seen) > c.most {
		c.makeRoom()
	}
}

// makeRoom closes the oldest connection of a stranger if there are too many. The caller holds the lock.
func (c *crowd) makeRoom() {
	var oldest net.Conn
	strangers := 0
	for conn, sighting := range c.seen {
		if sighting.trusted {
			continue
		}
		strangers++
		if oldest == nil || sighting.turn < c.seen[oldest].turn {
			oldest = conn
		}
	}
	if strangers > c.most {
		delete(c.seen, oldest)
		_ = oldest.Close()
	}
}

// trust exempts conn from eviction until its state next changes.
func (c *crowd) trust(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sighting, known := c.seen[conn]; known {
		sighting.trusted = true
		c.seen[conn] = sighting
	}
}

// closeIdle closes the connections on which no request is under way.
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
