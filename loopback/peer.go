package loopback

import (
	"net"
	"net/http"
)

// A peer is who is at the other end of a connection, as far as the system tells.
type peer struct {
	foreign bool // neither we nor root
	own     bool // we, surely
	settled bool // it stays so as long as the connection does
}

// Foreign reports whether r was sent by another user of this machine, one that is not root either. A browser
// that belongs to the person runs as them, so what is foreign sees and does nothing here, whatever it knows.
// It is false where the system does not tell (all but Linux), on a server that is not Serve's, and where this
// process is root's: under sudo or in a container the person's browser is another user's.
func Foreign(r *http.Request) bool { return peerOf(r).foreign }

// Own reports whether r was sent by a process of the very user that this one runs as. It is false where that is
// not certain.
func Own(r *http.Request) bool { return peerOf(r).own }

func peerOf(r *http.Request) peer {
	c, ok := r.Context().Value(callerKey{}).(*caller)
	if !ok {
		return peer{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.peer.settled {
		c.peer = lookUpPeer(c.conn)
	}
	return c.peer
}

// ForeignListener reports whether the server on this machine that conn was dialled to is neither this user's nor
// root's. It is false where Foreign can't tell.
func ForeignListener(conn net.Conn) bool { return foreignListener(conn) }
