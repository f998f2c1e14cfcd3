package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/loopkey/loopkey/internal/environ"
)

// places are where loopkey's files lie. Each is absolute or "": a relative one would
// be inside whatever directory one stands in, and that is not trusted.
type places struct {
	home         string
	file         string // config.toml
	named        bool   // by LOOPKEY_CONFIG, which may be relative
	state, cache string
}

func homeVariable() string {
	if runtime.GOOS == "windows" {
		return "USERPROFILE"
	}
	return "HOME"
}

func placesOf(env []string) places {
	p := places{home: environ.Lookup(env, homeVariable())}
	// The XDG specification says to ignore a relative path; so it is with the others.
	folder := func(name string, below ...string) string {
		if path := environ.Lookup(env, name); filepath.IsAbs(path) {
			return path
		}
		if !filepath.IsAbs(p.home) {
			return ""
		}
		return filepath.Join(append([]string{p.home}, below...)...)
	}
	join := func(folder string, below ...string) string {
		if folder == "" {
			return ""
		}
		return filepath.Join(append([]string{folder}, below...)...)
	}
	switch runtime.GOOS {
	case "windows":
		local := folder("LOCALAPPDATA", "AppData", "Local")
		p.file = join(folder("APPDATA", "AppData", "Roaming"), "loopkey", "config.toml")
		p.cache, p.state = join(local, "loopkey", "cache"), join(local, "loopkey")
	case "darwin":
		library := folder("", "Library")
		p.file = join(library, "Application Support", "loopkey", "config.toml")
		p.cache, p.state = join(library, "Caches", "loopkey"), join(library, "Application Support", "loopkey", "state")
	default:
		p.file = join(folder("XDG_CONFIG_HOME", ".config"), "loopkey", "config.toml")
		p.cache = join(folder("XDG_CACHE_HOME", ".cache"), "loopkey")
		p.state = join(folder("XDG_STATE_HOME", ".local", "state"), "loopkey")
	}
	if named := environ.Lookup(env, "LOOPKEY_CONFIG"); named != "" {
		p.file, p.named = named, true
	}
	return p
}

// resolve makes a path of config.toml absolute: ~ is home, the rest is beside the file.
func (p places) resolve(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || os.IsPathSeparator(rest[0])) {
		if !filepath.IsAbs(p.home) {
			return "", errors.New("~ can't be known: " + homeVariable() + " is not set")
		}
		return filepath.Join(p.home, rest), nil
	}
	if filepath.IsAbs(path) {
		return path, nil
	}
	dir, err := filepath.Abs(filepath.Dir(p.file))
	return filepath.Join(dir, path), err
}

// readLimited reads a file of a bounded size in bytes; its errors do not repeat the path.
func readLimited(path string, limit int64) ([]byte, error) {
	content, _, err := readWithInfo(path, limit)
	return content, err
}

func readWithInfo(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, plain(err)
	}
	defer f.Close() // only read: there is nothing to lose
	info, err := f.Stat()
	if err != nil {
		return nil, nil, plain(err)
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, nil, plain(err)
	}
	if int64(len(content)) > limit {
		return nil, nil, fmt.Errorf("it is larger than %d KiB", limit>>10)
	}
	return content, info, nil
}

// plain leaves the path out of an error.
func plain(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
