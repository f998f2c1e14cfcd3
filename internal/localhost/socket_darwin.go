package localhost

import (
	"net"

	"golang.org/x/sys/unix"
)

// tellsSocketUsers says whether the system tells which user is at the other end of a Unix socket.
const tellsSocketUsers = true

// socketUser returns the user whose process opened the other end (unix(4), LOCAL_PEERCRED, as getpeereid uses it).
func socketUser(conn *net.UnixConn) (uid int, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var peer *unix.Xucred
	if raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	}) != nil || err != nil {
		return 0, false
	}
	return int(peer.Uid), true
}
