package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
)

// Profiles returns the names of the profiles in config.toml, sorted. It leaves out those that no profile can have.
func Profiles(in Input) ([]string, error) {
	profiles, err := readProfiles(in)
	names := slices.Sorted(maps.Keys(profiles))
	return slices.DeleteFunc(names, func(name string) bool { return !private.IsSessionName(name) }), err
}

// Values returns what the profiles in config.toml set a setting to, sorted, each value once. A file that can't be read
// has none.
func Values(in Input, name string) []string {
	profiles, _ := readProfiles(in)
	var values []string
	for _, table := range profiles {
		for written := range table {
			s, text, err := readKey(placesOf(in.Environ), table, written)
			if err == nil && s.name == name && text != "" {
				values = append(values, text)
			}
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// readProfiles returns the profiles of config.toml by name.
func readProfiles(in Input) (map[string]map[string]any, error) {
	places := placesOf(in.Environ)
	content, _, err := readConfigFile(places)
	if err != nil {
		return nil, err
	}
	profiles, err := parseProfiles(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, places.file, err)
	}
	return profiles, nil
}

// mostConfigFile is how many bytes a config.toml may have.
const mostConfigFile = 64 << 10

// errUTF16 says that PowerShell wrote a file.
var errUTF16 = errors.New("it is UTF-16: save it as UTF-8")

// readConfigFile returns the content and the mode of config.toml. Only one that LOOPKEY_CONFIG names must be there.
func readConfigFile(p places) ([]byte, fs.FileMode, error) {
	if p.file == "" || p.file == os.DevNull {
		return nil, 0, nil
	}
	content, info, err := private.ReadRegular(p.file, mostConfigFile)
	if errors.Is(err, os.ErrNotExist) && !p.named {
		return nil, 0, nil
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %w", ErrInvalid, because(ReasonNoFile, p.file, "%s is not there", p.file))
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s can't be read: %w", ErrInvalid, p.file, err)
	}
	if err := trusted(p.file, info); err != nil {
		return nil, 0, err
	}
	return content, info.Mode(), nil
}

// trusted refuses a config.toml that another user owns or can write, for it says where sessions are kept and which
// provider gets the client secret. Root may use every user's.
func trusted(path string, info fs.FileInfo) error {
	switch {
	case runtime.GOOS == "windows":
		return nil
	case private.Foreign(info) && os.Geteuid() != 0:
		return fmt.Errorf("%w: %w", ErrInvalid, because(ReasonForeignFile, path, "%s belongs to another user", path))
	case info.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("%w: %w", ErrInvalid, because(ReasonWritableFile, path, "%s can be written by others", path))
	}
	return nil
}

// A configFile is a config.toml that was read.
type configFile struct {
	places
	content  []byte
	mode     fs.FileMode
	profiles map[string]map[string]any // by name
	above    map[string]any            // by key, what stands above the profiles
}

// readFile reads config.toml. One that is not there sets nothing.
func readFile(p places) (configFile, error) {
	content, mode, err := readConfigFile(p)
	if err != nil || len(content) == 0 {
		return configFile{}, err
	}
	f, err := parseFile(content)
	if err != nil {
		return configFile{}, fmt.Errorf("%w: %s: %w", ErrInvalid, p.file, err)
	}
	f.places, f.content, f.mode = p, content, mode
	return f, nil
}

// layer returns the values that stand above the profiles.
func (f configFile) layer() (layer, error) {
	l := layer{}
	for key, written := range f.above {
		s := settingAbove(key)
		text, err := textOf(s, key, written)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, f.file, err)
		}
		l.set(s.name, value{text: text, from: fromFile, origin: key + " in " + f.file, key: key})
	}
	return l, nil
}

// profile returns the values that a profile sets, and its hosts. A profile that is not there sets none.
func (f configFile) profile(profile string) (layer, hosts.List, error) {
	var listed hosts.List
	var err error
	origin := "profile " + profile + " in " + f.file
	l := layer{}
	table := f.profiles[profile]
	for _, written := range slices.Sorted(maps.Keys(table)) {
		if s := settingOfKey(strings.ReplaceAll(written, "-", "_")); s != nil && s.isTable {
			if s.name == hostsKey {
				listed, err = hosts.Parse(table[written])
			} else {
				err = readParams(l, table[written], origin)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("%w: %s: %w", ErrInvalid, origin, err)
			}
			continue
		}
		s, text, err := readKey(f.places, table, written)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s%s: %w", ErrInvalid, origin, lineOf(f.content, profile, written), err)
		}
		if s.isSecret && text != "" && runtime.GOOS != "windows" && f.mode.IsRegular() && f.mode.Perm()&0o077 != 0 {
			return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, because(ReasonReadableFile, f.file,
				"%s holds a client secret and others can read it", f.file))
		}
		l.set(s.name, value{text: text, from: fromProfile, origin: origin, key: s.key})
	}
	return l, listed, nil
}

// readKey returns the setting and the value of one key in a profile. A key may be written with dashes for its
// underscores.
func readKey(p places, table map[string]any, written string) (*setting, string, error) {
	key := strings.ReplaceAll(written, "-", "_")
	s := settingOfKey(key)
	if s == nil {
		return nil, "", fmt.Errorf("%q is no key of a profile: %s is near", words.Printable(written), nearest(key, keys()))
	}
	if _, twice := table[key]; twice && key != written {
		return nil, "", fmt.Errorf("%s is given twice", key)
	}
	text, err := textOf(s, key, table[written])
	if err != nil || text == "" || s.resolve == nil {
		return s, text, err
	}
	text, err = s.resolve(p, text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", key, err)
	}
	return s, text, nil
}

// textOf returns a value of a setting as text.
func textOf(s *setting, key string, written any) (string, error) {
	if s.isBool {
		value, ok := written.(bool)
		if !ok {
			return "", fmt.Errorf("%s must be true or false", key)
		}
		return strconv.FormatBool(value), nil
	}
	if s.isPorts {
		text, err := PortsText(written)
		if err != nil {
			return "", fmt.Errorf("%s %w", key, err)
		}
		return text, nil
	}
	text, ok := written.(string)
	if !ok {
		return "", fmt.Errorf("%s must be text in quotes", key)
	}
	return text, nil
}

var errNotTOML = errors.New("it is not TOML with tables [profile.NAME] and text in quotes")

// parseProfiles returns the profiles of a config.toml by name.
func parseProfiles(content []byte) (map[string]map[string]any, error) {
	f, err := parseFile(content)
	return f.profiles, err
}

// parseFile returns the profiles of a config.toml, and what stands above them. Its errors name a place in the file and
// never quote a value; go-toml's own may.
func parseFile(content []byte) (configFile, error) {
	content = bytes.TrimPrefix(content, byteOrderMark)
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return configFile{}, errUTF16
	}
	var file struct {
		Profile  map[string]map[string]any `toml:"profile"`
		Profiles map[string]map[string]any `toml:"profiles"`

		DefaultProfile any `toml:"default_profile"`
		Log            any `toml:"log"`
	}
	err := toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields().Decode(&file)
	if strict := new(toml.StrictMissingError); errors.As(err, &strict) && len(strict.Errors) > 0 {
		row, _ := strict.Errors[0].Position()
		return configFile{}, fmt.Errorf("line %d: %q is not known here: a profile is a table [profile.NAME]",
			row, words.Printable(strings.Join(strict.Errors[0].Key(), ".")))
	}
	if decode := new(toml.DecodeError); errors.As(err, &decode) {
		row, column := decode.Position()
		return configFile{}, fmt.Errorf("line %d, column %d: %w", row, column, errNotTOML)
	}
	if err != nil {
		return configFile{}, errNotTOML
	}
	profiles := map[string]map[string]any{}
	for _, tables := range []map[string]map[string]any{file.Profile, file.Profiles} {
		for name, table := range tables {
			if _, twice := profiles[name]; twice {
				return configFile{}, fmt.Errorf("profile %q is given twice", words.Printable(name))
			}
			profiles[name] = table
		}
	}
	above := map[string]any{}
	for key, written := range map[string]any{profileKey: file.DefaultProfile, "log": file.Log} {
		if written != nil {
			above[key] = written
		}
	}
	return configFile{profiles: profiles, above: above}, nil
}

// lineOf returns ", line N" for the line that sets a key, or "" where that is not a line of its own.
func lineOf(content []byte, profile, key string) string {
	inside := false
	for i, line := range strings.Split(string(content), "\n") {
		line = strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\"'", r) {
				return -1
			}
			return r
		}, line)
		if strings.HasPrefix(line, "[") {
			line, _, _ = strings.Cut(line, "]")
			inside = line == "[profile."+profile || line == "[profiles."+profile
		} else if inside && strings.HasPrefix(line, key+"=") {
			return fmt.Sprintf(", line %d", i+1)
		}
	}
	return ""
}

// nearest returns the name that differs from a misspelt one in the fewest letters (Levenshtein distance).
func nearest(word string, names []string) string {
	word = word[:min(len(word), 64)]
	best, fewest := "", 1<<30
	for _, name := range names {
		row := make([]int, len(name)+1)
		for j := range row {
			row[j] = j
		}
		for i := range len(word) {
			diagonal := row[0]
			row[0] = i + 1
			for j := range len(name) {
				changed := diagonal
				if word[i] != name[j] {
					changed++
				}
				diagonal = row[j+1]
				row[j+1] = min(changed, row[j]+1, row[j+1]+1)
			}
		}
		if row[len(name)] < fewest {
			best, fewest = name, row[len(name)]
		}
	}
	return best
}

// CheckHosts reports what is wrong with the content of a config.toml, as far as the hosts of a profile go.
func CheckHosts(content []byte, profile string) error {
	profiles, err := parseProfiles(content)
	if err != nil {
		return err
	}
	_, err = hosts.Parse(profiles[profile][hostsKey])
	return err //nolint:wrapcheck // it names the entry
}
