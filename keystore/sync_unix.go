//go:build unix

package keystore

import "os"

// syncDir makes a rename last.
func syncDir(dir *os.File) error { return dir.Sync() }
