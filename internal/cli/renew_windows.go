package cli

import (
	"os"
	"syscall"
)

const detachedProcess = 0x8 // DETACHED_PROCESS: no console, and so no Ctrl-C

func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: detachedProcess | syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}

func executable() (string, error) { return os.Executable() }
