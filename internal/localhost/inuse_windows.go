package localhost

import (
	"errors"

	"golang.org/x/sys/windows"
)

// inUse reports whether err says that another socket has the address.
func inUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

// denied reports whether err says that this user may not have the address. Windows says so where another socket has it
// for itself alone, and where the port is in a range that it keeps for Hyper-V or WSL.
func denied(err error) bool { return errors.Is(err, windows.WSAEACCES) }

// lacking reports whether err says that the machine lacks the address, or its family. What Windows returns is not the
// constants of package syscall that have these names.
func lacking(err error) bool {
	return errors.Is(err, windows.WSAEADDRNOTAVAIL) || errors.Is(err, windows.WSAEAFNOSUPPORT)
}

// refused reports whether err says that nobody listens at an address.
func refused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }
