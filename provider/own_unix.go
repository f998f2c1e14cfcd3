//go:build unix

package provider

import (
	"errors"
	"io"
	"os"
	"syscall"
)

var errNotOurs = errors.New("the file is a link, another's, or writable by others")

// readOwn reads a file that only this user can have written.
func readOwn(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || ok && int(stat.Uid) != os.Geteuid() {
		return nil, errNotOurs
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
