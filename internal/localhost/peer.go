package localhost

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A peer is who is at the other end of a connection, as far as the system tells.
type peer struct {
	foreign bool // neither this user nor root
	own     bool // this user, surely
	settled bool // it stays so as long as the connection does
}

// A caller is the connection of a request, and what was found out about its other end.
type caller struct {
	crowd *crowd
	conn  net.Conn

	mu   sync.Mutex
	peer peer
}

type callerKey struct{}

// introduce lets Trust, Own and RefuseOtherUsers find the connection of a request.
func (c *crowd) introduce(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, callerKey{}, &caller{crowd: c, conn: conn})
}

// RefuseOtherUsers passes a request to refuse instead of next if another user of this machine sent it, one that is not
// root either. The person's browser runs as the person, so another user sees and does nothing here, whatever they know.
//
// To look up who sent a request costs milliseconds, so it is done only where asks returns true: for a request that
// shows something only the person should have, such as a state that waits or a cookie that is known. A request that
// shows nothing goes to next.
//
// Every request goes to next where the system does not tell (all but Linux), and where this process is root's: under
// sudo or in a container the person's browser is another user's.
func RefuseOtherUsers(asks func(*http.Request) bool, refuse http.Handler, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if asks(r) && peerOf(r).foreign {
			refuse.ServeHTTP(w, r)
			return
		}
		next(w, r)
	}
}

// Own reports whether r was sent by a process of the very user that this one runs as. It is false where that is
// not certain.
func Own(r *http.Request) bool { return peerOf(r).own }

func peerOf(r *http.Request) peer {
	c, ok := r.Context().Value(callerKey{}).(*caller)
	if !ok { // another program's server, which shows its handlers the addresses of a connection alone
		return lookUpPeerAt(r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.peer.settled {
		c.peer = lookUpPeer(c.conn)
	}
	return c.peer
}

// ForeignListener reports whether the server on this machine that conn was dialled to is neither this user's nor
// root's. It is false where the system does not tell, and where this process is root's.
func ForeignListener(conn net.Conn) bool { return foreignListener(conn) }
