package config

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/loopkey/loopkey/internal/private"
)

// The variables of Auth0's other samples. CLIENT_ID, CLIENT_SECRET and BASE_URL, which stand beside them, are in the
// table of settings.
const (
	auth0IssuerBaseURL = "AUTH0_ISSUER_BASE_URL"
	issuerBaseURL      = "ISSUER_BASE_URL"
)

// sessionSecret is a variable of Auth0's samples that loopkey has no use for.
const sessionSecret = "SESSION_SECRET"

// A dotEnv holds what ./.env.local and ./.env set. They come with whatever folder the person is in, so they are trusted
// less than the other sources: they may name the tenant and the client of a project, and all else in them is ignored.
// They are written for other tools too, so nothing in them stops a command that does not need it.
type dotEnv struct {
	layer  layer
	faults map[string]error // by the name of the setting: why the line that sets it can't be read
	unread error            // why a file can't be read
	notes  []string         // what is passed over, and why
	unused []string         // what loopkey has no use for
}

// readDotEnv reads ./.env.local, and ./.env below it.
func readDotEnv(dir string) dotEnv {
	d := dotEnv{layer: layer{}, faults: map[string]error{}}
	if dir == "" {
		return d
	}
	var files []dotEnvFile
	for _, name := range []string{".env.local", ".env"} {
		file, err := readDotEnvFile(filepath.Join(dir, name), "./"+name)
		if err != nil {
			d.unread = fmt.Errorf("./%s can't be read: %w", name, err)
			d.notes = append(d.notes, d.unread.Error()+".")
		}
		for _, name := range slices.Sorted(maps.Keys(file.damaged)) {
			d.notes = append(d.notes, fmt.Sprintf("%v: the line is passed over.", file.damaged[name]))
		}
		files = append(files, file)
	}
	samples := slices.ContainsFunc(files, func(f dotEnvFile) bool {
		return f.values[auth0IssuerBaseURL].text != "" || f.values[issuerBaseURL].text != ""
	})
	for _, file := range files {
		d.add(file, samples)
	}
	if slices.ContainsFunc(files, func(f dotEnvFile) bool { return f.values[sessionSecret].text != "" }) {
		d.unused = append(d.unused, "SESSION_SECRET in ./.env is not needed here: loopkey signs no cookies.")
	}
	return d
}

// add adds the values of a file below those that are there. samples says that one of the files names the issuer as
// Auth0's other samples do: without that, names such as CLIENT_ID may be any program's.
func (d *dotEnv) add(file dotEnvFile, samples bool) {
	if !d.layer.namesIssuer() { // a domain and an issuer are one setting
		name, v := file.issuer()
		d.layer.set(name, v)
		d.fault("issuer", file, "LOOPKEY_ISSUER", "AUTH0_DOMAIN", auth0IssuerBaseURL, issuerBaseURL)
	}
	for i := range settings {
		s := &settings[i]
		if !s.inDotEnv || s.name == "issuer" || s.name == "domain" {
			continue
		}
		names := s.variables
		if samples && s.sample != "" {
			names = append(slices.Clone(names), s.sample)
		}
		for _, name := range names {
			v := file.values[name]
			v.secret = s.isSecret
			d.layer.set(s.name, v)
		}
		if !s.yields {
			d.fault(s.name, file, names...)
		}
	}
}

// fault notes why a setting's lines in a file can't be read.
func (d *dotEnv) fault(setting string, file dotEnvFile, variables ...string) {
	for _, name := range variables {
		if err := file.damaged[name]; err != nil && d.faults[setting] == nil {
			d.faults[setting] = fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
}

// issuer returns what the file says about the issuer, and the setting that this is. The names of loopkey come first.
func (f dotEnvFile) issuer() (setting string, v value) {
	for _, name := range []string{"LOOPKEY_ISSUER", "AUTH0_DOMAIN", auth0IssuerBaseURL, issuerBaseURL} {
		if v = f.values[name]; v.text == "" {
			continue
		}
		switch scheme, host, ok := strings.Cut(v.text, "://"); {
		case name == "AUTH0_DOMAIN", name != "LOOPKEY_ISSUER" && (!ok || ofAuth0(v.text)),
			// Auth0's own variable means a domain, which may be one of the tenant's own.
			name == auth0IssuerBaseURL && scheme != "" && !strings.Contains(strings.TrimSuffix(host, "/"), "/"):
			return "domain", v
		}
		return "issuer", v
	}
	return "issuer", value{}
}

var (
	errOpenQuote  = errors.New("its quotation mark is not closed")
	errAfterQuote = errors.New("something follows its closing quotation mark")
	errNoValue    = errors.New("it is not NAME=value")
	errControl    = errors.New("it holds a control character")
)

// A dotEnvFile holds the lines of a .env that set a variable which loopkey knows. Its errors name the variable and the
// line. They never quote the content, which holds secrets.
type dotEnvFile struct {
	values  map[string]value // the last line of a variable counts
	damaged map[string]error // variables with a line that can't be read
}

// readDotEnvFile reads a .env. One that is not there sets nothing, and so does a folder of that name, which may be a
// virtual environment, or a pipe. The error says why lines may be missing.
func readDotEnvFile(path, shown string) (dotEnvFile, error) {
	content, err := dotEnvContent(path)
	f := dotEnvFile{values: map[string]value{}, damaged: map[string]error{}}
	number := 0
	for line := range strings.Lines(content) {
		number++
		name, rest, ok := dotEnvName(strings.TrimSpace(line))
		if !ok || !knownInDotEnv(name) {
			continue
		}
		text, err := dotEnvValue(rest)
		if err != nil {
			f.damaged[name] = fmt.Errorf("%s in %s, line %d: %w", name, shown, number, err)
			continue
		}
		f.values[name] = value{text: text, from: fromDotEnv, origin: name + " in " + shown}
	}
	return f, err
}

// mostDotEnv is how many bytes of a .env are read. Other tools may keep whole certificates there.
const mostDotEnv = 1 << 20

func dotEnvContent(path string) (string, error) {
	file, _, err := private.OpenRegular(path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, private.ErrNotRegular):
		return "", nil
	case err != nil:
		return "", private.WithoutPath(err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, mostDotEnv+1))
	if err != nil {
		return "", private.WithoutPath(err)
	}
	if len(content) <= mostDotEnv {
		return decoded(content), nil
	}
	content = content[:mostDotEnv]
	content = content[:bytes.LastIndexByte(content, '\n')+1]
	return decoded(content), fmt.Errorf("it is larger than %d KiB, and only its beginning was read", mostDotEnv>>10)
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// decoded returns the text of a file in UTF-8, or in the UTF-16 that older PowerShells write.
func decoded(content []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(content, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return string(bytes.TrimPrefix(content, byteOrderMark))
	}
	var units []uint16
	for content = content[2:]; len(content) >= 2; content = content[2:] {
		units = append(units, order.Uint16(content))
	}
	return string(utf16.Decode(units))
}

// knownInDotEnv reports whether a variable is read from a .env.
func knownInDotEnv(name string) bool {
	switch name {
	case auth0IssuerBaseURL, issuerBaseURL, sessionSecret:
		return true
	}
	return slices.ContainsFunc(settings, func(s setting) bool {
		return s.inDotEnv && (s.sample == name || slices.Contains(s.variables, name))
	})
}

// dotEnvName returns the name that a line begins with, and what follows it. ok is false where the line sets nothing.
func dotEnvName(line string) (name, rest string, ok bool) {
	if after, exported := strings.CutPrefix(line, "export"); exported && strings.TrimLeft(after, " \t") != after {
		line = strings.TrimLeft(after, " \t")
		if !strings.ContainsAny(line, "=:") { // it only exports what is set elsewhere
			return "", "", false
		}
	}
	end := strings.IndexFunc(line, func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	if end < 0 {
		end = len(line)
	}
	return line[:end], strings.TrimLeft(line[end:], " \t"), end > 0
}

// dotEnvValue returns the value in what follows a name: =value, ="value" or ='value', to the letter. A comment may
// follow. In double quotes a backslash and a letter stand for one character. $NAME stands for itself, since a client
// secret may well hold a $.
func dotEnvValue(rest string) (string, error) {
	if rest == "" || rest[0] != '=' && rest[0] != ':' {
		return "", errNoValue
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", errControl
	}
	text := strings.TrimLeft(rest[1:], " \t")
	if text == "" || !strings.ContainsRune("\"'`", rune(text[0])) {
		text = rest[1:]
		for i := range len(text) - 1 {
			if (text[i] == ' ' || text[i] == '\t') && text[i+1] == '#' {
				text = text[:i]
				break
			}
		}
		return strings.TrimSpace(text), nil
	}
	quote := text[0]
	end := 1
	for ; end < len(text) && text[end] != quote; end++ {
		if text[end] == '\\' {
			end++
		}
	}
	if end >= len(text) {
		return "", errOpenQuote
	}
	if after := strings.TrimSpace(text[end+1:]); after != "" && after[0] != '#' {
		return "", errAfterQuote
	}
	if text = text[1:end]; quote == '"' {
		text = unescape(text)
	}
	return text, nil
}

// unescape replaces a backslash and a letter by what they stand for.
func unescape(text string) string {
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			plain.WriteByte(text[i])
			continue
		}
		switch i++; text[i] {
		case 'n':
			plain.WriteByte('\n')
		case 'r':
			plain.WriteByte('\r')
		default:
			plain.WriteByte(text[i])
		}
	}
	return plain.String()
}
