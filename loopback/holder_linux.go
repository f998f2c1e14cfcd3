package loopback

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// inTheWay are the local addresses, as /proc/net writes them, that keep us from binding
// a loopback: that loopback, or all addresses.
var inTheWay = []string{
	"0100007F", "00000000", "00000000000000000000000001000000", "00000000000000000000000000000000", "0000000000000000FFFF00000100007F",
}

// holder names the program that listens on a port, as far as /proc shows it to us.
func holder(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		scanner := bufio.NewScanner(f)
		for scanner.Scan() {
			fields := strings.Fields(scanner.Text())
			if len(fields) < 10 || fields[3] != "0A" { // listening
				continue
			}
			addr, hex, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port && slices.Contains(inTheWay, addr) {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
		_ = f.Close()
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
				return fmt.Sprintf("%s (process %s)", printable(strings.TrimSpace(string(name))), filepath.Base(process))
			}
		}
	}
	return ""
}
