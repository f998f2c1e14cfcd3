//go:build unix

package cli

import "syscall"

// forbidCores forbids core dumps, which would hold the tokens that are in memory. allow undoes that, for a command that
// loopkey starts. The limit is 1, not 0: where Linux pipes core dumps to a program, 0 is no limit (core(5)).
func forbidCores() (allow func()) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &limit) != nil {
		return func() {}
	}
	forbidden := limit
	forbidden.Cur = min(1, limit.Max)
	if syscall.Setrlimit(syscall.RLIMIT_CORE, &forbidden) != nil {
		return func() {}
	}
	return func() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &limit) }
}
