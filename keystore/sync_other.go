//go:build !unix

package keystore

import "os"

// syncDir does nothing: here a directory can't be synced.
func syncDir(*os.File) error { return nil }
