package localhost

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// holder names the program that listens on a port, as far as /proc shows it to us.
func holder(port int) string {
	all, err := sockets()
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	for _, s := range all { // a loopback, or all addresses: those keep us from binding ours
		if addr := s.local.Addr(); s.state == listening && int(s.local.Port()) == port && (addr.IsLoopback() || addr.IsUnspecified()) {
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
			continue // another user's
		}
		for _, fd := range descriptors {
			if link, err := os.Readlink(process + "/fd/" + fd.Name()); err == nil && inodes[link] {
				name, _ := os.ReadFile(process + "/comm")
				return fmt.Sprintf("%s (process %s)", words.Printable(strings.TrimSpace(string(name))), filepath.Base(process))
			}
		}
	}
	return ""
}
