package localhost

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// holder names the program that listens on a port, or returns "" where /proc does not show it to this user.
func holder(port int) string {
	all, err := socketsAt(uint16(port)) //nolint:gosec // a port
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	for _, s := range all {
		addr := s.local.Addr()
		// A socket on a loopback address, or on all addresses, keeps this program from binding the port.
		if s.state == listening && int(s.local.Port()) == port && (addr.IsLoopback() || addr.IsUnspecified()) {
			inodes["socket:["+strconv.FormatUint(s.inode, 10)+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		descriptors, err := os.ReadDir(process + "/fd")
		if err != nil {
			continue // a process of another user
		}
		for _, fd := range descriptors {
			if link, err := os.Readlink(process + "/fd/" + fd.Name()); err == nil && inodes[link] {
				name, _ := os.ReadFile(process + "/comm") //nolint:forbidigo // the kernel's
				return fmt.Sprintf("%s (process %s)", words.Printable(strings.TrimSpace(string(name))), filepath.Base(process))
			}
		}
	}
	return ""
}
