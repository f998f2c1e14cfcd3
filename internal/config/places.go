package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/private"
)

// places are the folders of loopkey's files, and its config.toml.
type places struct {
	private.Folders
	file  string // config.toml
	named bool   // by LOOPKEY_CONFIG, which may be relative
}

func placesOf(variables []string) places {
	p := places{Folders: private.FoldersOf("loopkey", func(name string) string { return environ.Lookup(variables, name) })}
	if p.Config != "" {
		p.file = filepath.Join(p.Config, "config.toml")
	}
	if named := environ.Lookup(variables, "LOOPKEY_CONFIG"); named != "" {
		p.file, p.named = named, true
	}
	return p
}

// resolve makes a path in config.toml absolute. ~ is the home folder; a relative path begins in the folder of the file.
func (p places) resolve(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		if !filepath.IsAbs(p.Home) {
			return "", errors.New("~ can't be known: " + private.HomeVariable() + " is not set")
		}
		return filepath.Join(p.Home, rest), nil
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	dir, err := filepath.Abs(filepath.Dir(p.file))
	return filepath.Join(dir, path), err
}

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
