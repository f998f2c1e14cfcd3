//go:build !unix

package keystore

import "os"

// syncDir makes a rename last; here directories can't be synced.
func syncDir(*os.File) error { return nil }
