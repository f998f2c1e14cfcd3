//go:build unix

package keystore

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private says in words why others can get at a file or a directory; "" if they can't.
func private(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return "belongs to another user"
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Sprintf("has mode %04o, so others can get at it", mode)
	}
	return ""
}

// syncDir makes a rename last.
func syncDir(dir *os.File) error { return dir.Sync() }
