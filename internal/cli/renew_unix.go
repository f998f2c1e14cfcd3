//go:build unix

package cli

import (
	"os"
	"runtime"
	"syscall"
)

// apart gives a process a session of its own, so that neither the terminal's signals
// nor those to our process group reach it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// executable is this very program, even if its file was replaced meanwhile.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		if _, err := os.Stat("/proc/self/exe"); err == nil {
			return "/proc/self/exe", nil
		}
	}
	return os.Executable()
}
