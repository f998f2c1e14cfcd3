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

// mostFile is the size in bytes that a ./.env or a config.toml may have.
const mostFile = 64 << 10

var byteOrderMark = []byte("\xef\xbb\xbf")

// readDotEnv reads what ./.env may set. It is not trusted like the rest: it may name
// the tenant and the client of a project, and everything else in it is passed over.
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

// parseDotEnv takes values as they are written. Its errors never quote the content,
// which holds secrets; godotenv's own do.
func parseDotEnv(content []byte) (map[string]string, error) {
	content = bytes.TrimPrefix(content, byteOrderMark)
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return nil, errUTF16
	case bytes.IndexByte(content, 0) >= 0:
		return nil, errNotText
	}
	// godotenv puts variables in the place of $NAME, and a client secret may well
	// hold one: so it is shown a file without dollars.
	dollar := ""
	for stand := byte(1); stand <= 8 && dollar == ""; stand++ { // control characters that stand in no file, or not all of them
		if bytes.IndexByte(content, stand) < 0 {
			dollar = string([]byte{stand})
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

// whereDotEnv finds the line that godotenv could not read: the first whose addition
// leaves a file that can't be read, and that no later one mends, as the end of a quotation does.
func whereDotEnv(text string) error {
	const mostTries = 400 // each reads the file again
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
