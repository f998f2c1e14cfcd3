//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"
)

// memory returns the most that a process had in memory, in bytes; 0: not known.
func memory(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss // bytes there, and kilobytes elsewhere
	}
	return usage.Maxrss << 10
}
