//go:build unix

package cli

import (
	"os"
	"runtime"
	"syscall"
)

// apart gives a process a session of its own, so that neither the terminal's signals nor those to this process's group
// reach it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// executable returns a path of this very program, even where its file has been replaced since it started.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		if _, err := os.Stat("/proc/self/exe"); err == nil {
			return "/proc/self/exe", nil
		}
	}
	return os.Executable()
}
