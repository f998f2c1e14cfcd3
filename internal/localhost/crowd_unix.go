//go:build unix

package localhost

import "syscall"

const (
	enoughStrangers = 2000
	enoughStreams   = 1500
)

// mostStrangers returns 2000, but no more than half of the files that this process may open: a process that can open no
// more files accepts no connection.
func mostStrangers() int { return atMost(enoughStrangers, 2) }

// MostStreams returns how many connections a server may keep that it has taken over from Serve, which no longer counts
// them: 1500, but no more than a quarter of the files that this process may open.
func MostStreams() int { return atMost(enoughStreams, 4) }

// atMost returns enough, but no more than that part of the files that this process may open.
func atMost(enough, part uint64) int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return int(enough) //nolint:gosec // one of the above
	}
	return int(min(enough, max(uint64(limit.Cur)/part, 16))) //nolint:gosec,unconvert // a signed number on FreeBSD
}
