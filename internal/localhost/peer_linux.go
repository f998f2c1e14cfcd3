package localhost

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// TellsPeers says whether the system tells which user is at the other end of a connection.
const TellsPeers = true

func lookUpPeer(conn net.Conn) peer {
	e, ok := endOf(conn)
	if !ok {
		return peer{}
	}
	return e.peer()
}

// lookUpPeerAt is lookUpPeer for a request whose connection is not at hand. Its server closes no connection before it
// has sent the response. It costs one more question, about our own end.
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
	e.state = func() (uint8, bool) {
		switch ours, err := diagnose(local, remote); {
		case err != nil:
			return 0, false
		case ours.local != local || ours.remote != remote || ours.inode == 0:
			return 0, true
		default:
			return ours.state, true
		}
	}
	return e.peer()
}

// A connEnd is our side of a TCP connection: both addresses, and our socket.
type connEnd struct {
	local, remote netip.AddrPort
	// state returns the state of our socket now, 0 if it is closed. known is false if the system does not tell.
	state    func() (state uint8, known bool)
	inode    uint64 // of our socket; 0: it is closed
	anyInode bool   // the inode is not known
}

// peer asks the kernel for the other end alone. Where it does not tell, the tables of /proc are read, which
// take longer the more sockets there are.
func (e connEnd) peer() peer { return e.peerAs(os.Geteuid()) }

// peerAs is peer for a process of that user.
func (e connEnd) peerAs(euid int) peer {
	p, told := peerByDiag(diagnose, euid, e)
	if !told {
		p = peerIn(func() ([]socket, error) { return socketsAt(e.local.Port()) }, euid, e)
	}
	return p
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
	raw, err := tcp.SyscallConn()
	if err != nil {
		return e, false
	}
	var stat syscall.Stat_t
	statErr := errors.New("closed")
	err = raw.Control(func(fd uintptr) { statErr = syscall.Fstat(int(fd), &stat) })
	if errors.Join(err, statErr) == nil {
		e.inode = stat.Ino
	}
	e.state = func() (uint8, bool) { return stateOf(raw) }
	e.local, e.remote = unmapped(tcp.LocalAddr()), unmapped(tcp.RemoteAddr())
	return e, true
}

// stateOf returns the state of a TCP socket of this process, 0 once it is closed.
func stateOf(raw syscall.RawConn) (state uint8, known bool) {
	err := raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if known = err == nil; known {
			state = info.State
		}
	})
	return state, known || err != nil
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

// peer judges by a socket's user. A socket that no process holds any more may have been another user's: it lingers
// (FIN_WAIT, LAST_ACK), or is a note of a closed one (TIME_WAIT), of which the kernel tells no user.
func (s socket) peer(euid int) peer {
	held := s.inode != 0
	if held && s.uid == int64(euid) && standsForOthers(s.uid) {
		return peer{settled: true}
	}
	return peer{
		foreign: euid != 0 && (!held || s.uid != int64(euid) && s.uid != 0),
		own:     held && s.uid == int64(euid),
		settled: held,
	}
}

// standsForOthers reports whether the kernel gives uid to this process for every user whom its user namespace does not
// know (user_namespaces(7), /proc/sys/kernel/overflowuid). The rest of them are told apart there as everywhere.
func standsForOthers(uid int64) bool { return uid == overflowUser() }

// overflowUser returns that user, or -1 where this process knows all users.
var overflowUser = sync.OnceValue(func() int64 {
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid") //nolint:forbidigo // the kernel's
	users, mapErr := os.ReadFile("/proc/self/uid_map")       //nolint:forbidigo // the kernel's
	return overflowUserIn(string(text), string(users), err == nil && mapErr == nil)
})

// overflowUserIn reads the two files. What can't be read may be anything, so the usual user is the one.
func overflowUserIn(overflow, users string, read bool) int64 {
	const usual = 65534
	if !read {
		return usual
	}
	if fields := strings.Fields(users); len(fields) == 3 && fields[2] == "4294967295" {
		return -1
	}
	if uid, err := strconv.ParseInt(strings.TrimSpace(overflow), 10, 64); err == nil {
		return uid
	}
	return usual
}

func foreignListener(conn net.Conn) bool {
	e, ok := endOf(conn)
	return ok && foreignListenerIn(func() ([]socket, error) { return socketsAt(e.remote.Port()) }, os.Geteuid(), e)
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
