package localhost

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
)

// TellsPeers is whether the system tells whose the other end of a connection is.
const TellsPeers = true

func lookUpPeer(conn net.Conn) peer {
	e, ok := endOf(conn)
	if !ok {
		return peer{}
	}
	return peerIn(connection(e), os.Geteuid(), e)
}

// lookUpPeerAt is lookUpPeer for a request whose connection is not at hand, on a server that closes no connection while
// it is answered.
func lookUpPeerAt(r *http.Request) peer {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if !ok || err != nil {
		return peer{}
	}
	local := unmapped(addr)
	if !local.IsValid() {
		return peer{}
	}
	remote = netip.AddrPortFrom(remote.Addr().Unmap().WithZone(""), remote.Port())
	e := end{local: local, remote: remote, anyInode: true}
	return peerIn(connection(e), os.Geteuid(), e)
}

// An end is ours of a connection.
type end struct {
	local, remote netip.AddrPort
	inode         uint64
	anyInode      bool // the inode is not known
}

func endOf(conn net.Conn) (e end, ok bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return e, false
	}
	var stat syscall.Stat_t
	statErr := errors.New("closed")
	raw, err := tcp.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { statErr = syscall.Fstat(int(fd), &stat) })
	}
	if errors.Join(err, statErr) == nil {
		e.inode = stat.Ino // else 0, which no connection has: ours is over
	}
	e.local, e.remote = unmapped(tcp.LocalAddr()), unmapped(tcp.RemoteAddr())
	return e, true
}

func unmapped(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap().WithZone(""), tcp.AddrPort().Port())
}

// peerIn finds the other end of a connection in the tables. When ours is over its addresses may be another
// connection's, which a request that still waits in a buffer must not be taken to come by.
func peerIn(tables func() ([]socket, error), euid int, e end) peer {
	over := false
	for range 2 {
		all, err := tables()
		if err != nil {
			return peer{}
		}
		var ours, theirs *socket
		for i, s := range all {
			switch {
			case s.local == e.remote && s.remote == e.local && s.state != connecting:
				theirs = &all[i]
			case s.local == e.local && s.remote == e.remote && (e.anyInode || s.inode == e.inode) && s.inode != 0:
				ours = &all[i]
			}
		}
		over = ours == nil
		switch {
		case ours != nil && theirs != nil:
			return theirs.peer(euid)
		case ours != nil && ours.state != established: // who hangs up at once is not to be known, so it is nobody of ours
			return peer{foreign: euid != 0}
		}
	}
	return peer{foreign: over && euid != 0} // else it lives and the tables don't have it: it may come from outside of them
}

// peer judges a socket by whose it is. In no process's hands it may have been anybody's.
func (s socket) peer(euid int) peer {
	held := s.inode != 0
	return peer{
		foreign: euid != 0 && (!held || s.uid != int64(euid) && s.uid != 0),
		own:     held && s.uid == int64(euid),
		settled: held,
	}
}

func foreignListener(conn net.Conn) bool {
	e, ok := endOf(conn)
	return ok && foreignListenerIn(sockets, os.Geteuid(), e)
}

// foreignListenerIn looks at who listens at the other end. The system gives a connection to a socket of the very
// address, else to one of all addresses; several may share it (SO_REUSEPORT), and then any of them might have got it.
func foreignListenerIn(tables func() ([]socket, error), euid int, e end) bool {
	if euid == 0 {
		return false
	}
	all, err := tables()
	if err != nil {
		return false
	}
	addrs := []netip.Addr{e.remote.Addr(), netip.IPv6Unspecified()}
	if e.remote.Addr().Is4() {
		addrs = []netip.Addr{e.remote.Addr(), netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, addr := range addrs {
		found, foreign := false, false
		for _, s := range all {
			if s.state == listening && s.local == netip.AddrPortFrom(addr, e.remote.Port()) {
				found, foreign = true, foreign || s.peer(euid).foreign
			}
		}
		if found {
			return foreign
		}
	}
	return peerIn(tables, euid, e).foreign // nobody listens any more: then who took this connection counts
}
