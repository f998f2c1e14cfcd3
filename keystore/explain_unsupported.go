//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package keystore

// explain puts an error of go-keyring into words.
func explain(err error) (why, next string) { return printable(err.Error()), "use --keystore file" }
