//go:build unix

package cli

import "syscall"

// forbidCores keeps a crash from leaving what is in memory, tokens among it, in a
// file. allow undoes it, for programs of the person's that are started. The limit is 1,
// not 0: that is none where Linux hands core dumps to a program (core(5)).
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
