//go:build unix

package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedSignals are the signals that a person or a supervisor sends to end, reload or resize a command.
var passedSignals = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGALRM,
}

// passSignal passes a signal on to the command, unless the terminal has sent it to the whole foreground group already:
// many programs take a second Ctrl-C for "end at once".
func passSignal(p *os.Process, sig os.Signal) {
	switch sig {
	case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH:
		if inForeground() {
			return
		}
	}
	_ = p.Signal(sig)
}

// inForeground reports whether our process group is the foreground group of the terminal.
func inForeground() bool {
	tty, err := os.Open("/dev/tty") //nolint:forbidigo // the terminal
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// exitCode returns the command's exit code, or 128 and the number of the signal that ended it, as a shell does.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
