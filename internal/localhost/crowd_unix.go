//go:build unix

package localhost

import "syscall"

// mostStrangers returns 2000, but no more than half of the files that this process may open: a process that can open no
// more files accepts no connection.
func mostStrangers() int {
	const enough = 2000
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return enough
	}
	return int(min(enough, max(limit.Cur/2, 16)))
}
