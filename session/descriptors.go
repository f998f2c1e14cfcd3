package session

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrTooFewFiles says that a renewal was not begun, because this process may not open the files that storing its
// response would take.
var ErrTooFewFiles = errors.New("too few files may be opened to store the renewed session")

// spareDescriptors is how many files storing a session may take: a connection to the keychain and what is read for it,
// or the pipes of the program that asks it.
const spareDescriptors = 12

// holdDescriptors keeps that many descriptors until release is called. Under a limit of open files the request, or
// something else in this process, could take the last ones, and the response may be the only copy of a rotated refresh
// token.
func holdDescriptors() (release func(), err error) {
	var held []*os.File
	release = func() {
		for _, f := range held {
			_ = f.Close()
		}
		held = nil
	}
	for range spareDescriptors {
		f, err := os.Open(os.DevNull) //nolint:forbidigo // the null device
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			release()
			return nil, fmt.Errorf("%w: %w", ErrTooFewFiles, err)
		}
		if err != nil { // such as no null device: then nothing is known about the limit
			break
		}
		held = append(held, f)
	}
	return release, nil
}
