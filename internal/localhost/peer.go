package localhost

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
)

// A peer is the user whose process is at the other end of a connection, as far as the system tells.
type peer struct {
	foreign bool // the process is of another user, and not root's
	own     bool // the process is surely this user's
	settled bool // neither changes as long as the connection lives
}

// A caller is the connection of a request, and what is known of the process at its other end.
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

// RefuseOtherUsers passes a request to refuse instead of next if another user of this machine sent it who is not root.
// The browser of this user runs as this user, so others see and do nothing here, whatever they know.
//
// Only requests for which asks returns true are looked at, because that costs a question to the kernel. It returns true
// for a request that shows what only this user should have, such as the state of a login that waits or a known cookie.
// A request that shows nothing of the kind goes to next.
//
// Every request goes to next where the system does not tell (all but Linux), and where this process is root's: under
// sudo or in a container the browser of the person at the machine is another user's.
func RefuseOtherUsers(asks func(*http.Request) bool, refuse http.Handler, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if asks(r) && peerOf(r).foreign {
			refuse.ServeHTTP(w, r)
			return
		}
		next(w, r)
	}
}

// TellsOwn reports whether Own can be certain here: the system tells who is at the other end of a connection, which a
// connection of our own shows. It is false for root, who may have opened another user's browser.
func TellsOwn(ctx context.Context) bool {
	if !TellsPeers || os.Geteuid() == 0 {
		return false
	}
	return ownConnection(ctx)
}

// ownConnection reports whether the system tells that a connection of this process to itself is this user's.
func ownConnection(ctx context.Context) bool {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return false
	}
	defer l.Close()
	client, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return false
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return false
	}
	defer server.Close()
	return server.RemoteAddr().String() == client.LocalAddr().String() && lookUpPeer(server).own
}

// Own reports whether r was sent by a process of the very user that this one runs as. It is false where that is
// not certain.
func Own(r *http.Request) bool { return peerOf(r).own }

// Foreign reports whether r was sent by another user of this machine who is not root. It is false where
// RefuseOtherUsers refuses nobody.
func Foreign(r *http.Request) bool { return peerOf(r).foreign }

func peerOf(r *http.Request) peer {
	c, ok := r.Context().Value(callerKey{}).(*caller)
	if !ok { // a server that is not Serve's, of whose connection only the addresses are known
		return lookUpPeerAt(r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.peer.settled {
		c.peer = lookUpPeer(c.conn)
	}
	return c.peer
}

// ForeignListener reports whether conn was dialled to a server on this machine that is neither this user's nor root's.
// It is false where the system does not tell, and where this process is root's.
func ForeignListener(conn net.Conn) bool { return foreignListener(conn) }
