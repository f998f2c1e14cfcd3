package pages

import (
	"io/fs"
	"time"
)

// A stamp tells two states of a file apart without reading it.
type stamp struct {
	size     int64
	modified time.Time
	changed  changed
}

// settling is how long after a change a file may change again without another time: file systems keep times of two
// seconds at the coarsest.
const settling = 3 * time.Second

// stampOf returns the stamp of a file.
func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime(), changedOf(info)} }

// settled reports whether a file that was read at a time or later was read in the state that its stamp tells of.
func (s stamp) settled(at time.Time, settling time.Duration) bool {
	latest := s.modified
	if s.changed.at.After(latest) {
		latest = s.changed.at
	}
	return at.Sub(latest) > settling
}
