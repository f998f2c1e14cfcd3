package cli

import (
	"os"
	"syscall"
)

const detachedProcess = 0x8 // DETACHED_PROCESS: no console, and so no Ctrl-C

// apart keeps a Ctrl-C and the end of the console from a process.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: detachedProcess | syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}

// executable returns the path of this program.
func executable() (string, error) { return os.Executable() }
