//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package keystore

import "github.com/loopkey/loopkey/internal/words"

// explain puts an error of go-keyring into words.
func explain(err error) (why, next string) {
	return words.Printable(err.Error()), "use --keystore file"
}
