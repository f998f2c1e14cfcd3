//go:build !(dragonfly || freebsd || linux || netbsd || openbsd)

package keystore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/loopkey/loopkey/internal/private"
)

// lease takes a lock on a file in the folder that the platform has for the state of the service. Where the program has
// its own files does not matter.
func (k *keychain) lease(ctx context.Context, name string) (release func(), err error) {
	dir := private.FoldersOf(k.entries.service, os.Getenv).State
	if dir == "" {
		return func() {}, nil // there is no home, and so no keychain
	}
	if err = private.Dir(dir); err == nil {
		release, err = leaseFile(ctx, filepath.Join(dir, name+".lease.lock"))
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("the lease of the session: %w", err)
	}
	return release, err
}
