package journal

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Parent returns the name and the ID of the program that started this process. Of its arguments it tells nothing: they
// may hold secrets.
func Parent() (name string, pid int) {
	pid = syscall.Getppid()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm") //nolint:forbidigo // the kernel's
	if err != nil {
		return "", pid
	}
	return strings.TrimSuffix(string(text), "\n"), pid
}
