package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/loopkey/loopkey/internal/private"
)

// readLimited returns the content of a regular file, and refuses one of more than limit bytes. Its errors lack the
// path.
func readLimited(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, info, err := private.OpenRegular(path)
	if err != nil {
		return nil, nil, plain(err)
	}
	defer f.Close()
	content, err := readAll(f, limit)
	return content, info, err
}

// readAll returns what can be read from r, and refuses more than limit bytes.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, plain(err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("it is larger than %d KiB", limit>>10)
	}
	return content, nil
}

// plain returns an error of a file without the file's path.
func plain(err error) error {
	if e := new(os.PathError); errors.As(err, &e) {
		return e.Err
	}
	return err
}
