package localhost

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel is asked for one socket by its two addresses (sock_diag(7), inet_diag.h). That costs the same at any
// number of sockets, where the tables in /proc grow with them. It needs no privilege.

const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagRequestSize  = unix.SizeofNlMsghdr + 56
	diagReplySize    = unix.SizeofNlMsghdr + 72
	diagPatience     = time.Second
	mostDiags        = 8 // questions at once
)

var errNoDiag = errors.New("the kernel does not tell of its sockets")

// diags bounds how many questions are asked at once.
var diags = make(chan struct{}, mostDiags)

// connection returns what peerIn needs of the system's sockets: both ends of a connection. Where the kernel does not
// answer that question, or does not know our own end, the tables are read.
func connection(e end) func() ([]socket, error) {
	return func() ([]socket, error) {
		ours, err := diagnose(e.local, e.remote)
		if err != nil || ours == nil {
			return sockets()
		}
		theirs, err := diagnose(e.remote, e.local)
		switch {
		case err != nil:
			return sockets()
		case theirs == nil:
			return []socket{*ours}, nil
		}
		return []socket{*ours, *theirs}, nil
	}
}

// diagnose asks for the socket with these addresses; nil: there is none.
func diagnose(local, remote netip.AddrPort) (*socket, error) {
	diags <- struct{}{}
	defer func() { <-diags }()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	patience := unix.NsecToTimeval(int64(diagPatience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return nil, err
	}
	if err := unix.Sendto(fd, diagRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	reply := make([]byte, 4<<10)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil {
		return nil, err
	}
	s, err := parseDiag(reply[:n])
	if err != nil || s == nil || s.local != local || s.remote != remote { // else a listener, which it tells of where there is no connection
		return nil, err
	}
	return s, nil
}

// diagRequest is an inet_diag_req_v2 for one socket in any state.
func diagRequest(local, remote netip.AddrPort) []byte {
	b := make([]byte, 0, diagRequestSize)
	b = binary.NativeEndian.AppendUint32(b, diagRequestSize)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence and port
	family := byte(unix.AF_INET6)
	if local.Addr().Is4() {
		family = unix.AF_INET
	}
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0)) // every state
	b = binary.BigEndian.AppendUint16(b, local.Port())
	b = binary.BigEndian.AppendUint16(b, remote.Port())
	for _, addr := range []netip.Addr{local.Addr(), remote.Addr()} {
		var field [16]byte
		copy(field[:], addr.AsSlice())
		b = append(b, field[:]...)
	}
	b = binary.NativeEndian.AppendUint32(b, 0)             // any interface
	return binary.NativeEndian.AppendUint64(b, ^uint64(0)) // INET_DIAG_NOCOOKIE, twice
}

// parseDiag reads the kernel's reply: a socket, or nil where there is none.
func parseDiag(b []byte) (*socket, error) {
	if len(b) < unix.SizeofNlMsghdr {
		return nil, errNoDiag
	}
	switch kind := binary.NativeEndian.Uint16(b[4:]); {
	case kind == unix.NLMSG_ERROR && len(b) >= unix.SizeofNlMsghdr+4:
		if errno := syscall.Errno(-int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:]))); errno != syscall.ENOENT { //nolint:gosec // an errno
			return nil, errno
		}
		return nil, nil
	case kind != sockDiagByFamily || len(b) < diagReplySize:
		return nil, errNoDiag
	}
	m := b[unix.SizeofNlMsghdr:]
	size := 16
	if m[0] == unix.AF_INET {
		size = 4
	}
	local, _ := netip.AddrFromSlice(m[8 : 8+size])
	remote, _ := netip.AddrFromSlice(m[24 : 24+size])
	return &socket{
		local:  netip.AddrPortFrom(local.Unmap(), binary.BigEndian.Uint16(m[4:])),
		remote: netip.AddrPortFrom(remote.Unmap(), binary.BigEndian.Uint16(m[6:])),
		state:  m[1],
		uid:    int64(binary.NativeEndian.Uint32(m[64:])),
		inode:  uint64(binary.NativeEndian.Uint32(m[68:])),
	}, nil
}
