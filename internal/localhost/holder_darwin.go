package localhost

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// holder names the program that listens on a port, as lsof reports it, or returns "".
func holder(port int) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	args := []string{"-nP", "-sTCP:LISTEN", "-iTCP:" + strconv.Itoa(port), "-Fpc"}
	out, err := exec.CommandContext(ctx, "/usr/sbin/lsof", args...).Output() //nolint:gosec // the port is a number
	if err != nil {
		return ""
	}
	var pid, name string
	for _, line := range strings.Split(string(out), "\n") {
		switch {
		case pid == "" && strings.HasPrefix(line, "p"):
			pid = line[1:]
		case name == "" && strings.HasPrefix(line, "c"):
			name = line[1:]
		}
	}
	if pid == "" || name == "" {
		return ""
	}
	return fmt.Sprintf("%s (process %s)", words.Printable(name), pid)
}
