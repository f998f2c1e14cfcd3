package localhost

import (
	"errors"

	"golang.org/x/sys/windows"
)

// inUse reports whether err says that another socket has the address. Windows denies access where that socket is
// exclusive.
func inUse(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}

// lacking reports whether err says that the machine lacks the address, or its family. What Windows returns is not the
// constants of package syscall that have these names.
func lacking(err error) bool {
	return errors.Is(err, windows.WSAEADDRNOTAVAIL) || errors.Is(err, windows.WSAEAFNOSUPPORT)
}
