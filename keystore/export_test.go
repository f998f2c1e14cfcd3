package keystore

import "context"

// QuickFile is File with little work for scrypt, which the tests of a store are not about.
func QuickFile(dir string, passphrase func(ctx context.Context, confirm bool) (string, error)) Store {
	f := File(dir, passphrase).(*files)
	f.workFactor = 1
	return f
}
