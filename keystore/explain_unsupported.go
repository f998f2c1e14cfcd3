//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package keystore

import "github.com/loopkey/loopkey/internal/words"

// explain puts an error of go-keyring into words.
func explain(err error) (why string, reason Reason) {
	return words.Printable(err.Error()), ReasonNoKeychain
}
