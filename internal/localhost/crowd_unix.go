//go:build unix

package localhost

import "syscall"

// mostStrangers is 2000, and no more than half of the files that this process may open:
// where none can be opened any more, nobody can be let in.
func mostStrangers() int {
	const enough = 2000
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return enough
	}
	return int(min(enough, max(limit.Cur/2, 16)))
}
