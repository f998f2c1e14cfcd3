package localhost

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
)

// TellsPeers says whether the system tells which user is at the other end of a connection.
const TellsPeers = true

func lookUpPeer(conn net.Conn) peer {
	e, ok := endOf(conn)
	if !ok {
		return peer{}
	}
	return peerIn(connection(e), os.Geteuid(), e)
}

// lookUpPeerAt is lookUpPeer for a request whose connection is not at hand. Its server closes no connection before it
// has sent the response.
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
	e := connEnd{local: local, remote: remote, anyInode: true}
	return peerIn(connection(e), os.Geteuid(), e)
}

// A connEnd is our side of a TCP connection: both addresses, and the inode of our socket.
type connEnd struct {
	local, remote netip.AddrPort
	inode         uint64 // 0: our socket is closed
	anyInode      bool   // the inode is not known
}

// endOf returns our side of conn. ok is false for what is no TCP connection.
func endOf(conn net.Conn) (e connEnd, ok bool) {
	if plain, ok := conn.(*plainConn); ok {
		conn = plain.TCPConn
	}
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
		e.inode = stat.Ino
	}
	e.local, e.remote = unmapped(tcp.LocalAddr()), unmapped(tcp.RemoteAddr())
	return e, true
}

// unmapped returns an address in the form that the tables have: an IPv4 address is one, however it is written.
func unmapped(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap().WithZone(""), tcp.AddrPort().Port())
}

// peerIn finds the other end of a connection in the tables. Once our socket is closed its addresses can be those of
// another connection. A request of the old one may still wait in a buffer, and must not count as sent by the new one.
// The tables are read twice where they lack the other end, for they are not of one instant.
func peerIn(tables func() ([]socket, error), euid int, e connEnd) peer {
	closed := false
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
		closed = ours == nil
		switch {
		case ours != nil && theirs != nil:
			return theirs.peer(euid)
		case ours != nil && ours.state != established: // they hung up, and can't be told from another user any more
			return peer{foreign: euid != 0}
		}
	}
	// A connection that lives and whose other end is in no table may come from outside of them, such as a container.
	return peer{foreign: closed && euid != 0}
}

// peer judges by a socket's user. A socket that no process holds any more may have been another user's.
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

// foreignListenerIn judges by the sockets that listen at the other end. The system gives a connection to a socket that
// is bound to the very address, else to one that is bound to all addresses. Several can be bound to the same
// (SO_REUSEPORT), and then any of them may have got it.
func foreignListenerIn(tables func() ([]socket, error), euid int, e connEnd) bool {
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
	return peerIn(tables, euid, e).foreign // nobody listens any more, so the holder of this connection counts
}
