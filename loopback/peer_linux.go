package loopback

import (
	"net/netip"
	"os"
)

// tellsPeers: the system tells whose the other end of a connection is.
const tellsPeers = true

func lookUpPeer(local, remote netip.AddrPort) peer {
	return peerIn(sockets, os.Geteuid(), local, remote)
}

// peerIn finds the other end of the connection from local to remote in the tables.
func peerIn(tables func() ([]socket, error), euid int, local, remote netip.AddrPort) peer {
	for range 2 {
		all, err := tables()
		if err != nil {
			return peer{}
		}
		live := false
		for _, s := range all {
			switch {
			case s.local == remote && s.remote == local:
				return s.peer(euid)
			case s.local == local && s.remote == remote:
				live = s.state == established
			}
		}
		if !live { // who hangs up at once is not to be known, so it is nobody of ours
			return peer{foreign: euid != 0}
		}
	}
	return peer{} // the tables don't have it, and it lives: it may come from outside of them
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

func foreignListener(local, remote netip.AddrPort) bool {
	return foreignListenerIn(sockets, os.Geteuid(), local, remote)
}

// foreignListenerIn looks at who listens at remote. The system gives a connection to a socket of the very
// address, else to one of all addresses; several may share it (SO_REUSEPORT), and then any of them might have got it.
func foreignListenerIn(tables func() ([]socket, error), euid int, local, remote netip.AddrPort) bool {
	if euid == 0 {
		return false
	}
	all, err := tables()
	if err != nil {
		return false
	}
	addrs := []netip.Addr{remote.Addr(), netip.IPv6Unspecified()}
	if remote.Addr().Is4() {
		addrs = []netip.Addr{remote.Addr(), netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, addr := range addrs {
		found, foreign := false, false
		for _, s := range all {
			if s.state == listening && s.local == netip.AddrPortFrom(addr, remote.Port()) {
				found, foreign = true, foreign || s.peer(euid).foreign
			}
		}
		if found {
			return foreign
		}
	}
	return peerIn(tables, euid, local, remote).foreign // nobody listens any more: then who took this connection counts
}
