package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/joho/godotenv"
	"github.com/pelletier/go-toml/v2"
)

const (
	dotEnvOrigin = "./.env"
	mostFile     = 64 << 10
)

// readDotEnv reads what ./.env may set. It is not trusted like the rest: it may name
// the tenant and the client of a project, and everything else in it is passed over.
func readDotEnv(dir string, c *Config) (layer, error) {
	var l layer
	if dir == "" {
		return l, nil
	}
	path := filepath.Join(dir, ".env")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return l, nil
	case err != nil:
		return l, fmt.Errorf("%w: ./.env can't be read: %w", ErrInvalid, errors.Unwrap(err))
	case !info.Mode().IsRegular(): // a folder for a virtual environment, or a pipe that would hang
		return l, nil
	}
	content, err := readLimited(path, mostFile)
	if err != nil {
		return l, fmt.Errorf("%w: ./.env can't be read: %w", ErrInvalid, err)
	}
	values, err := parseDotEnv(content)
	if err != nil {
		return l, err
	}
	for _, name := range dotEnv {
		for _, key := range environment[name] {
			l.set(name, values[key], dotEnvOrigin)
		}
	}
	if values["SESSION_SECRET"] != "" {
		c.notes = append(c.notes, "SESSION_SECRET in ./.env is not needed here: loopkey signs no cookies.")
	}
	return l, nil
}

// parseDotEnv takes values as they are written: godotenv would put variables in the
// place of $NAME, and a client secret may well hold one.
func parseDotEnv(content []byte) (map[string]string, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	lines := strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	for i, line := range lines {
		_, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(strings.TrimSpace(value), "'") {
			continue
		}
		lines[i] = line[:len(line)-len(value)] + strings.ReplaceAll(value, "$", `\$`)
	}
	values, err := godotenv.Parse(strings.NewReader(strings.Join(lines, "\n")))
	if err == nil {
		return values, nil
	}
	// godotenv's words quote the file, which holds secrets: find the line instead.
	for i := range lines {
		if _, err := godotenv.Parse(strings.NewReader(strings.Join(lines[:i+1], "\n"))); err != nil {
			return nil, fmt.Errorf("%w: ./.env, line %d: it is not NAME=value", ErrInvalid, i+1)
		}
	}
	return nil, fmt.Errorf("%w: ./.env can't be parsed", ErrInvalid)
}

// profileKeys are the keys of a profile, and the value that each sets.
var profileKeys = map[string]string{
	"domain": "domain", "issuer": "issuer", "client_id": "client-id", "client_secret": "client-secret",
	"client_secret_file": "client-secret-file", "audience": "audience", "scope": "scope", "base_url": "base-url",
	"keystore": "keystore", "audience_parameter": "audience-parameter", "refresh_audiences": "refresh-audiences",
	"state_dir": "state-dir", "cache_dir": "cache-dir",
}

// readProfile reads one profile of config.toml. A file that is not there is an error only if it was named.
func readProfile(path, profile string, named bool, home string) (layer, error) {
	var l layer
	content, err := readLimited(path, mostFile)
	switch {
	case errors.Is(err, os.ErrNotExist) && !named:
		return l, nil
	case err != nil:
		return l, fmt.Errorf("%w: %s can't be read: %w", ErrInvalid, path, err)
	}
	profiles, err := parseProfiles(content)
	if err != nil {
		return l, fmt.Errorf("%w: %s: %w", ErrInvalid, path, err)
	}
	origin := "profile " + profile + " in " + path
	for key, value := range profiles[profile] {
		name, ok := profileKeys[strings.ReplaceAll(key, "-", "_")]
		if !ok {
			return l, fmt.Errorf("%w: %s: %q is no key of a profile; there are %s", ErrInvalid, origin, key, strings.Join(sortedKeys(), ", "))
		}
		text, ok := value.(string)
		if flag, isBool := value.(bool); isBool && name == "refresh-audiences" {
			text, ok = fmt.Sprint(flag), true
		}
		if !ok {
			return l, fmt.Errorf("%w: %s: %s is not written as text", ErrInvalid, origin, key)
		}
		if name == "client-secret-file" || name == "state-dir" || name == "cache-dir" {
			text = resolve(text, filepath.Dir(path), home)
		}
		if name == "client-secret" {
			if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
				return l, fmt.Errorf("%w: %s holds a client secret and others can read it: chmod 600 it", ErrInvalid, path)
			}
		}
		l.set(name, text, origin)
	}
	return l, nil
}

// parseProfiles returns the profiles of a config.toml. Its errors name a place in the file and never quote it.
func parseProfiles(content []byte) (map[string]map[string]any, error) {
	var file struct {
		Profile  map[string]map[string]any `toml:"profile"`
		Profiles map[string]map[string]any `toml:"profiles"`
	}
	decoder := toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields()
	err := decoder.Decode(&file)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(strict.Errors) > 0 {
		row, _ := strict.Errors[0].Position()
		return nil, fmt.Errorf("line %d: %q is not known here: a profile is a table [profile.NAME]", row, strings.Join(strict.Errors[0].Key(), "."))
	}
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := decode.Position()
		return nil, fmt.Errorf("line %d, column %d: %s", row, column, strings.TrimPrefix(decode.Error(), "toml: "))
	}
	if err != nil {
		return nil, errors.New("it is no TOML with tables [profile.NAME]")
	}
	profiles := map[string]map[string]any{}
	for _, tables := range []map[string]map[string]any{file.Profile, file.Profiles} {
		for name, table := range tables {
			if profiles[name] != nil {
				return nil, fmt.Errorf("profile %q is given twice", name)
			}
			profiles[name] = table
		}
	}
	return profiles, nil
}

func sortedKeys() []string {
	var keys []string
	for key := range profileKeys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// resolve makes a path of the configuration file absolute: ~ is home, the rest is beside the file.
func resolve(path, dir, home string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(home, rest)
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readLimited reads a file of a bounded size; its error does not repeat the path.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, plain(err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("it is larger than %d KiB", limit>>10)
	}
	return content, nil
}

func plain(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
