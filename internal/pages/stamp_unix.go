//go:build linux || darwin

package pages

import (
	"io/fs"
	"syscall"
	"time"
)

// changed is what no program can set: which file it is, and when anything about it changed.
type changed struct {
	device, inode uint64
	at            time.Time
}

func changedOf(info fs.FileInfo) changed {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return changed{}
	}
	//nolint:unconvert // their types differ between systems
	return changed{uint64(stat.Dev), uint64(stat.Ino), changeTime(stat)}
}
