package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Parent returns the name and the ID of the program that started this process. Of its arguments it tells nothing: they
// may hold secrets.
func Parent() (name string, pid int) {
	pid = os.Getppid()
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", pid
	}
	return unix.ByteSliceToString(info.Proc.P_comm[:]), pid
}
