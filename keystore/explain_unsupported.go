//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package keystore

import "github.com/loopkey/loopkey/internal/words"

// explain says what an error of go-keyring means.
func explain(err error) (why string, reason Reason) {
	return words.Printable(err.Error()), ReasonNoKeychain
}
