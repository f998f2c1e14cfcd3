package localhost

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Netlink tells of one socket by its two addresses (sock_diag(7), include/uapi/linux/inet_diag.h). A question costs the
// same at any number of sockets, while the tables in /proc grow with them. It needs no privilege.
const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagRequestSize  = unix.SizeofNlMsghdr + 56
	diagReplySize    = unix.SizeofNlMsghdr + 72
	diagSequence     = 1 // of the one question that a netlink socket is used for
	mostDiags        = 8 // questions at a time
)

var (
	// errNoDiag says that the kernel's reply is of no known form.
	errNoDiag = errors.New("the kernel does not tell of its sockets")
	// errNoSocket says that no socket has the addresses. A kernel without tcp_diag says the same of every socket.
	errNoSocket = errors.New("no such socket")
)

// diags limits how many questions are asked at a time.
var diags = make(chan struct{}, mostDiags)

// diagsAsked counts the questions, for the tests.
var diagsAsked atomic.Int64

// peerByDiag is peerIn by questions to the kernel: one, where the other end is there. told is false where the kernel
// does not tell.
//
// The state of our own socket is looked at after the kernel has told of the other end. A socket that is still
// established then has had these addresses all the time, and the other end can be no later connection's. Where the
// other end is missing, it is asked for again: our socket may not have heard yet that they hung up.
func peerByDiag(ask func(local, remote netip.AddrPort) (socket, error), euid int, e connEnd) (p peer, told bool) {
	for range 2 {
		theirs, err := ask(e.remote, e.local)
		if errors.Is(err, errNoSocket) { // where it tells of our end, or of the listener behind it, it knows of sockets
			_, err = ask(e.local, e.remote)
		}
		if err != nil {
			return peer{}, false
		}
		switch state, known := e.state(); {
		case !known:
			return peer{}, false
		case state != established: // they hung up, and can't be told from another user any more
			return peer{foreign: euid != 0}, true
		}
		if theirs.local == e.remote && theirs.remote == e.local && theirs.state != connecting {
			return theirs.peer(euid), true
		}
	}
	return peer{}, true // from outside of these tables, such as a container
}

// diagnose returns the socket with these addresses. Where there is no connection the kernel tells of a listener at the
// local address, if there is one, so the caller has to compare the addresses.
//
// Sending hands the request to the kernel, which has queued its reply by then. So nothing is waited for.
func diagnose(local, remote netip.AddrPort) (socket, error) {
	diags <- struct{}{}
	defer func() { <-diags }()
	diagsAsked.Add(1)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return socket{}, err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, diagRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return socket{}, err
	}
	reply := make([]byte, 1<<10)
	n, from, err := unix.Recvfrom(fd, reply, unix.MSG_DONTWAIT)
	if err != nil {
		return socket{}, err
	}
	if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 { // 0: the kernel
		return socket{}, errNoDiag
	}
	return parseDiag(reply[:n])
}

// diagRequest returns an inet_diag_req_v2 for one socket in any state.
func diagRequest(local, remote netip.AddrPort) []byte {
	b := make([]byte, 0, diagRequestSize)
	b = binary.NativeEndian.AppendUint32(b, diagRequestSize)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = binary.NativeEndian.AppendUint32(b, diagSequence)
	b = append(b, 0, 0, 0, 0) // to the kernel
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

// parseDiag reads the kernel's reply to diagRequest.
func parseDiag(b []byte) (socket, error) {
	if len(b) < unix.SizeofNlMsghdr || binary.NativeEndian.Uint32(b[8:]) != diagSequence {
		return socket{}, errNoDiag
	}
	size := int64(binary.NativeEndian.Uint32(b))
	switch kind := binary.NativeEndian.Uint16(b[4:]); {
	case kind == unix.NLMSG_ERROR && len(b) >= unix.SizeofNlMsghdr+4:
		code := -int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])) //nolint:gosec // a C int
		if errno := syscall.Errno(code); errno != syscall.ENOENT {          //nolint:gosec // no error is negative here
			return socket{}, errno
		}
		return socket{}, errNoSocket
	case kind != sockDiagByFamily || len(b) < diagReplySize || size < diagReplySize:
		return socket{}, errNoDiag
	}
	m := b[unix.SizeofNlMsghdr:]
	width := 16
	switch m[0] {
	case unix.AF_INET:
		width = 4
	case unix.AF_INET6:
	default:
		return socket{}, errNoDiag
	}
	local, _ := netip.AddrFromSlice(m[8 : 8+width])
	remote, _ := netip.AddrFromSlice(m[24 : 24+width])
	return socket{
		local:  netip.AddrPortFrom(local.Unmap(), binary.BigEndian.Uint16(m[4:])),
		remote: netip.AddrPortFrom(remote.Unmap(), binary.BigEndian.Uint16(m[6:])),
		state:  m[1],
		uid:    int64(binary.NativeEndian.Uint32(m[64:])),
		inode:  uint64(binary.NativeEndian.Uint32(m[68:])),
	}, nil
}
