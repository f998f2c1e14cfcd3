//go:build unix

package private

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// NoLink is for os.OpenFile: a link is refused, and a pipe is opened at once.
const NoLink = syscall.O_NOFOLLOW | noWait

// noWait is for os.OpenFile: a pipe is opened at once, even if nobody writes to it.
const noWait = syscall.O_NONBLOCK

func exposed(info fs.FileInfo, bits fs.FileMode) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return "belongs to another user"
	}
	if mode := info.Mode().Perm(); mode&bits != 0 {
		return fmt.Sprintf("has mode %04o, so others can get at it", mode)
	}
	return ""
}

func foreign(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid()
}

// othersRead reports whether another user owns a file, or can read or change it.
func othersRead(_ *os.File, info fs.FileInfo) (bool, error) { return exposed(info, 0o077) != "", nil }
