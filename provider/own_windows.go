package provider

import (
	"io"
	"os"
)

// readOwn reads a file of the user's cache folder, which Windows keeps from other users.
func readOwn(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
