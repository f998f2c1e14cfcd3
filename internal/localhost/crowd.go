package localhost

import (
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

// A sighting is at which turn a connection came, or sent its first request, and whether one is under way on it, and one
// that is trusted. Later requests make it no younger: of those a stranger can send as many as they like.
type sighting struct {
	turn                 uint64
	busy, asked, trusted bool
}

// Trust is called for a request that has shown what no stranger can: a state that waits
// here, or the cookie of a browser that is known. Its connection does not have to make
// room for others until the request is answered. On a server that is not Serve's it
// does nothing.
func Trust(r *http.Request) {
	if c, ok := r.Context().Value(callerKey{}).(*caller); ok {
		c.crowd.trust(c.conn)
	}
}

// note hears of a new state; a connection is active once the header of its request was read.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, known := c.seen[conn]
	switch {
	case state == http.StateHijacked, state == http.StateClosed:
		delete(c.seen, conn)
		return
	case !known && state != http.StateNew: // it made room: what was read of it before is still answered, to nobody
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

// makeRoom closes the oldest connection of a stranger where there are too many. The lock is held.
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

// trust is until the connection's next state.
func (c *crowd) trust(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sighting, known := c.seen[conn]; known {
		sighting.trusted = true
		c.seen[conn] = sighting
	}
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
