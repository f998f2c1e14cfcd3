package config

import (
	"errors"
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
