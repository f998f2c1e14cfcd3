package loopback

import (
	"errors"

	"golang.org/x/sys/windows"
)

// inUse: Windows also answers "access" where another program holds the port for itself.
func inUse(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}
