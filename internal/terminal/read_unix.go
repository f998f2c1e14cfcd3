//go:build unix

package terminal

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// openTTY opens the process's terminal, whatever standard input is.
func openTTY() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return tty, nil
}

var (
	errBackground = errors.New("another job has the terminal")
	errTooMany    = errors.New("the terminal's file descriptor is too high to be waited for")
)

// read calls keys with what is typed on tty, at most so many bytes at a time, until keys wants no more or stop is
// called; then the terminal is as it was, and the next key is the next reader's. Keys that send signals go on to send
// them. The end of the input is endOfInput. It reads nothing while another job has the terminal: to try would stop the
// process.
func read(tty *os.File, most int, m mode, keys func([]byte) (more bool)) (stop func(), err error) {
	fd := int(tty.Fd())
	if fd >= unix.FD_SETSIZE {
		return nil, errTooMany
	}
	if !foreground(fd) {
		return nil, errBackground
	}
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	single := *before
	if m == silent {
		single.Lflag &^= unix.ICANON | unix.ECHO
		single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
	} else {
		single.Lflag |= unix.ICANON | unix.ECHO
	}
	if err := unix.IoctlSetTermios(fd, setTermios, &single); err != nil {
		return nil, err
	}
	wake, end, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, unix.IoctlSetTermios(fd, setTermios, before))
	}
	// After Ctrl-Z and fg the shell has set the terminal as it likes it.
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	var reading sync.WaitGroup
	reading.Go(func() {
		for range continued {
			if foreground(fd) {
				_ = unix.IoctlSetTermios(fd, setTermios, &single)
			}
		}
	})
	reading.Go(func() { readUntil(fd, int(wake.Fd()), most, keys) })
	return sync.OnceFunc(func() {
		signal.Stop(continued)
		close(continued)
		_ = end.Close()
		reading.Wait()
		_ = wake.Close()
		if foreground(fd) {
			_ = unix.IoctlSetTermios(fd, setTermios, before)
		}
	}), nil
}

// readUntil reads from fd until wake can be read, which is when its other end was closed.
func readUntil(fd, wake, most int, keys func([]byte) (more bool)) {
	piece := make([]byte, most)
	for {
		var ready unix.FdSet
		ready.Set(fd)
		ready.Set(wake)
		_, err := unix.Select(max(fd, wake)+1, &ready, nil, nil, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || ready.IsSet(wake) {
			return
		}
		if !foreground(fd) { // the shell has moved this process into the background meanwhile
			return
		}
		n, err := unix.Read(fd, piece)
		if n > 0 {
			more := keys(piece[:n])
			clear(piece[:n])
			if !more {
				return
			}
		}
		if n == 0 && err == nil {
			keys([]byte{endOfInput})
			return
		}
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) { // hung up
			return
		}
	}
}

// foreground reports whether this process's job has the terminal.
func foreground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
