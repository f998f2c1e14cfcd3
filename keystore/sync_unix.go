//go:build unix

package keystore

import "os"

// syncDir makes a rename in the directory outlast a power cut.
func syncDir(dir *os.File) error { return dir.Sync() }
