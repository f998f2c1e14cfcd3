//go:build !unix

package private

import "io/fs"

// NoLink is for os.OpenFile; here links need a privilege to be made.
const NoLink = 0

const noWait = 0

// Here the access list of the user's own folders decides, and modes say nothing.
func exposed(fs.FileInfo, fs.FileMode) string { return "" }

func foreign(fs.FileInfo) bool { return false }
