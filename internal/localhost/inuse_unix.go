//go:build unix

package localhost

import (
	"errors"
	"syscall"
)

// inUse reports whether err says that another socket has the address.
func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// denied reports whether err says that this user may not have the address.
func denied(err error) bool { return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) }

// lacking reports whether err says that the machine lacks the address, or its family.
func lacking(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// refused reports whether err says that nobody listens at an address.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
