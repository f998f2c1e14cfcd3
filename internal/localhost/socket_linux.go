package localhost

import (
	"net"
	"syscall"
)

// tellsSocketUsers says whether the system tells which user is at the other end of a Unix socket.
const tellsSocketUsers = true

// socketUser returns the user whose process opened the other end (unix(7), SO_PEERCRED).
func socketUser(conn *net.UnixConn) (uid int, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var peer *syscall.Ucred
	if raw.Control(func(fd uintptr) {
		peer, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}) != nil || err != nil {
		return 0, false
	}
	return int(peer.Uid), true
}
