package localhost

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Netlink tells of one socket by its two addresses (sock_diag(7), include/uapi/linux/inet_diag.h). A question costs the
// same at any number of sockets, while the tables in /proc grow with them. It needs no privilege.
const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagRequestSize  = unix.SizeofNlMsghdr + 56
	diagReplySize    = unix.SizeofNlMsghdr + 72
	diagPatience     = time.Second
	mostDiags        = 8 // questions at a time
)

// errNoDiag says that the kernel's reply is of no known form.
var errNoDiag = errors.New("the kernel does not tell of its sockets")

// diags limits how many questions are asked at a time.
var diags = make(chan struct{}, mostDiags)

// connection returns tables for peerIn that hold both ends of a connection and nothing else. Where netlink does not
// tell, or does not know our own end, they are the whole tables of /proc.
func connection(e connEnd) func() ([]socket, error) {
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

// diagnose returns the socket with these addresses, or nil if there is none.
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
	// Where there is no connection the kernel tells of a listener, whose addresses are not these.
	if err != nil || s == nil || s.local != local || s.remote != remote {
		return nil, err
	}
	return s, nil
}

// diagRequest returns an inet_diag_req_v2 for one socket in any state.
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

// parseDiag reads the kernel's reply. It returns nil if there is no such socket.
func parseDiag(b []byte) (*socket, error) {
	if len(b) < unix.SizeofNlMsghdr {
		return nil, errNoDiag
	}
	switch kind := binary.NativeEndian.Uint16(b[4:]); {
	case kind == unix.NLMSG_ERROR && len(b) >= unix.SizeofNlMsghdr+4:
		code := -int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])) //nolint:gosec // a C int
		if errno := syscall.Errno(code); errno != syscall.ENOENT {          //nolint:gosec // no error is negative here
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
