//go:build !unix

package keystore

import (
	"io/fs"
	"os"
)

// private says in words why others can get at a file or a directory; here the
// access list of the user's own directories decides, and modes say nothing.
func private(fs.FileInfo) string { return "" }

// syncDir makes a rename last; here directories can't be synced.
func syncDir(*os.File) error { return nil }
