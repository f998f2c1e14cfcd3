package keystore

import "context"

// QuickFile is File with little work for scrypt, which the tests of a store are not about.
func QuickFile(dir string, passphrase func(ctx context.Context, confirm bool) (string, error)) Store {
	return QuickFileWith(dir, FileOptions{Passphrase: passphrase})
}

// QuickFileWith is QuickFile with more options.
func QuickFileWith(dir string, o FileOptions) Store {
	f := File(dir, o).(*files)
	f.workFactor = 1
	return f
}
