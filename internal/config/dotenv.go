package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/joho/godotenv"
)

// mostFile is how many bytes a ./.env or a config.toml may have.
const mostFile = 64 << 10

var byteOrderMark = []byte("\xef\xbb\xbf")

// readDotEnv returns the values that ./.env sets. A ./.env comes with whatever folder the person is in, so it is
// trusted less than the other sources: it may name the tenant and the client of a project, and all else in it is
// ignored.
func readDotEnv(dir string, c *Config) (layer, error) {
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, ".env")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: ./.env can't be read: %w", ErrInvalid, plain(err))
	case !info.Mode().IsRegular(): // a folder for a virtual environment, or a pipe that would hang
		return nil, nil
	}
	content, err := readLimited(path, mostFile)
	if err != nil {
		return nil, fmt.Errorf("%w: ./.env can't be read: %w", ErrInvalid, err)
	}
	values, err := parseDotEnv(content)
	if err != nil {
		return nil, fmt.Errorf("%w: ./.env: %w", ErrInvalid, err)
	}
	l := layer{}
	for i := range settings {
		s := &settings[i]
		if !s.inDotEnv {
			continue
		}
		for _, variable := range s.variables {
			l.set(s.name, value{text: values[variable], from: fromDotEnv, origin: variable + " in ./.env"})
		}
	}
	if values["SESSION_SECRET"] != "" {
		c.notes = append(c.notes, "SESSION_SECRET in ./.env is not needed here: loopkey signs no cookies.")
	}
	return l, nil
}

var (
	errUTF16    = errors.New("it is UTF-16: save it as UTF-8")
	errNotText  = errors.New("it is not text")
	errNotLines = errors.New("it is not lines of NAME=value")
)

// parseDotEnv returns the values as they are written. Its errors never quote the content, which holds secrets;
// godotenv's own errors do.
func parseDotEnv(content []byte) (map[string]string, error) {
	content = bytes.TrimPrefix(content, byteOrderMark)
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return nil, errUTF16
	case bytes.IndexByte(content, 0) >= 0:
		return nil, errNotText
	}
	// godotenv replaces $NAME by the value of NAME, and a client secret may well hold a $. So it gets a file in which each
	// dollar is a control character that the file does not hold.
	dollar := ""
	for c := byte(1); c <= 8 && dollar == ""; c++ {
		if bytes.IndexByte(content, c) < 0 {
			dollar = string([]byte{c})
		}
	}
	if dollar == "" {
		return nil, errNotText
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(content), "\r\n", "\n"), "$", dollar)
	values, err := godotenv.Parse(strings.NewReader(text))
	if err != nil {
		return nil, whereDotEnv(text)
	}
	for key, value := range values {
		values[key] = strings.ReplaceAll(value, dollar, "$")
	}
	return values, nil
}

// whereDotEnv returns an error that names the line that godotenv could not read. It is the line after the longest
// beginning of the file that can be read: a quotation that goes over several lines can be read only as a whole.
func whereDotEnv(text string) error {
	const mostTries = 400 // each parses the file again
	lines := strings.Split(text, "\n")
	if len(lines) > mostTries {
		return errNotLines
	}
	bad := 0
	for i := len(lines); i > 0; i-- {
		if _, err := godotenv.Parse(strings.NewReader(strings.Join(lines[:i], "\n"))); err == nil {
			break
		}
		bad = i
	}
	return fmt.Errorf("line %d is not NAME=value", bad)
}
