package localhost

import (
	"errors"

	"golang.org/x/sys/windows"
)

// inUse: Windows also answers "access" where another program holds the port for itself.
func inUse(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}

// lacking: the machine has no such address, or not even the family. The syscall
// package's constants of these names are not what Windows answers.
func lacking(err error) bool {
	return errors.Is(err, windows.WSAEADDRNOTAVAIL) || errors.Is(err, windows.WSAEAFNOSUPPORT)
}
