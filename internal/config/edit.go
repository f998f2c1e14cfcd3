package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/loopkey/loopkey/internal/words"
)

// ErrByHand says that a config.toml is written in a way that only a person can change.
var ErrByHand = errors.New("it is written in a way that has to be changed by hand")

// An Assignment sets a key of a profile, as config.toml names it. An empty value takes the key out.
type Assignment struct{ Key, Value string }

// Edit returns the content of a config.toml in which a profile has the assigned values. The rest of the text stays as
// it is, to the byte: comments, the order, other profiles, the ends of lines. Its errors wrap ErrInvalid, and ErrByHand
// where the text can't be changed so; they never quote what the file holds.
func Edit(content []byte, profile string, changes ...Assignment) ([]byte, error) {
	if err := (value{text: profile}).judge(settingNamed("profile")); err != nil {
		return nil, fmt.Errorf("%w: the name of the profile %w", ErrInvalid, err)
	}
	before, err := parseProfiles(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	text, wanted := content, maps.Clone(before[profile])
	if wanted == nil {
		wanted = map[string]any{}
	}
	for _, change := range changes {
		written, err := change.literal()
		if err != nil {
			return nil, err
		}
		if text, err = assign(text, profile, change.Key, written); err != nil {
			return nil, err
		}
		maps.DeleteFunc(wanted, func(key string, _ any) bool { return strings.ReplaceAll(key, "-", "_") == change.Key })
		if change.Value != "" {
			wanted[change.Key] = change.Value
			switch s := settingOfKey(change.Key); {
			case s.isBool:
				wanted[change.Key] = change.Value == "true"
			case s.isPorts:
				wanted[change.Key] = portsRead(change.Value)
			}
		}
	}
	after, err := parseProfiles(text)
	if err != nil || !sameProfiles(before, after, profile, wanted) {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, ErrByHand)
	}
	return text, nil
}

// sameProfiles reports whether an edit did what it had to do to one profile, and nothing to the others.
func sameProfiles(before, after map[string]map[string]any, profile string, wanted map[string]any) bool {
	got := map[string]any{}
	for key, value := range after[profile] {
		if _, ok := wanted[key]; !ok {
			key = strings.ReplaceAll(key, "-", "_")
		}
		got[key] = value
	}
	without := func(all map[string]map[string]any) map[string]map[string]any {
		others := maps.Clone(all)
		delete(others, profile)
		return others
	}
	return reflect.DeepEqual(got, wanted) && reflect.DeepEqual(without(before), without(after))
}

// literal checks the value of an assignment, and returns it as TOML writes it.
func (a Assignment) literal() (string, error) {
	s := settingOfKey(a.Key)
	if s == nil || s.isTable {
		return "", fmt.Errorf("%w: %q is no key of a profile that has one value", ErrInvalid, words.Printable(a.Key))
	}
	return a.literalOf(s, fromProfile)
}

// TOML returns the value as config.toml has it, for a person to read.
func (a Assignment) TOML() string {
	text, err := a.literal()
	if err != nil { // it is none that can be written
		return strconv.Quote(a.Value)
	}
	return text
}

// literalOf is literal for a setting that is set there.
func (a Assignment) literalOf(s *setting, from source) (string, error) {
	v := value{text: a.Value, from: from, key: a.Key, secret: s.isSecret}
	switch {
	case a.Value == "":
		return "", nil
	case s.isBool && a.Value != "true" && a.Value != "false":
		return "", fmt.Errorf("%w: %s must be true or false", ErrInvalid, a.Key)
	case s.isBool:
		return a.Value, nil
	case strings.ContainsFunc(a.Value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return "", v.refuse("holds a control character")
	}
	if _, _, _, err := issuerOf(layer{a.Key: v}); err != nil {
		return "", err
	}
	if err := v.judge(s); err != nil {
		return "", v.refuse("%w", err)
	}
	if s.isPorts {
		ports, _ := portsOf(a.Value)
		return PortsTOML(ports), nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Value) + `"`, nil
}

// A member is a key of a profile in the text of a config.toml.
type member struct {
	key                  string // with underscores
	start, end           int    // of "key = value"
	prefix               string // what stands before the key itself: "", or the dotted path of its table
	valueStart, valueEnd int    // 0: the value is not of the key's kind
}

// A section is the text of a profile.
type section struct {
	header  int // the end of the line [profile.NAME]; 0: there is none
	members []member
}

// assign returns the text with one key of a profile set to a literal, or taken out ("").
func assign(text []byte, profile, key, literal string) ([]byte, error) {
	s, err := find(text, profile)
	if err != nil {
		return nil, err
	}
	newline := endOfLine(text)
	i := slices.IndexFunc(s.members, func(m member) bool { return m.key == key })
	switch {
	case i >= 0 && literal == "":
		return cutLines(text, s.members[i].start, s.members[i].end), nil
	case i >= 0 && s.members[i].valueEnd == 0:
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, key, ErrByHand)
	case i >= 0:
		return splice(text, s.members[i].valueStart, s.members[i].valueEnd, literal), nil
	case literal == "":
		return text, nil
	}
	line := key + " = " + literal + newline
	switch {
	case len(s.members) > 0:
		last := s.members[len(s.members)-1]
		start := bytes.LastIndexByte(text[:last.start], '\n') + 1
		indent := string(text[start:last.start])
		if strings.TrimLeft(indent, " \t\ufeff") != "" {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, ErrByHand)
		}
		return insert(text, last.end, strings.TrimPrefix(indent, "\ufeff")+last.prefix+line, newline), nil
	case s.header > 0:
		return insert(text, s.header, line, newline), nil
	}
	block := "[" + TableOf(profile) + "]" + newline + line
	if len(bytes.TrimSpace(bytes.TrimPrefix(text, byteOrderMark))) > 0 {
		block = newline + block
	}
	return insert(text, len(text), block, newline), nil
}

// TableOf returns the name of a profile's table, as config.toml writes it.
func TableOf(profile string) string {
	if strings.Contains(profile, ".") { // the dot would begin another table in it
		profile = `"` + profile + `"`
	}
	return "profile." + profile
}

// insert puts lines after the line in which at stands.
func insert(text []byte, at int, lines, newline string) []byte {
	end := lineEnd(text, at)
	if len(text) > 0 && end == len(text) && text[end-1] != '\n' && !bytes.Equal(text, byteOrderMark) {
		lines = newline + lines
	}
	return splice(text, end, end, lines)
}

// endOfLine returns how the lines of the text end.
func endOfLine(text []byte) string {
	if bytes.Contains(text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// cutLines takes out the lines in which something stands.
func cutLines(text []byte, start, end int) []byte {
	return splice(text, bytes.LastIndexByte(text[:start], '\n')+1, lineEnd(text, end), "")
}

// lineEnd returns where the line ends in which at stands, after its end of line.
func lineEnd(text []byte, at int) int {
	if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(text)
}

func splice(text []byte, start, end int, with string) []byte {
	return slices.Concat(text[:start], []byte(with), text[end:])
}

// find returns where the profile is in the text.
func find(text []byte, profile string) (section, error) {
	var s section
	skipped := len(text) - len(bytes.TrimPrefix(text, byteOrderMark))
	var p unstable.Parser
	p.Reset(text[skipped:])
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			var end int
			table, end, _ = path(e.Key())
			if isProfile(table, profile) && e.Kind == unstable.Table {
				s.header = skipped + end
			}
		case unstable.KeyValue:
			keys, end, last := path(e.Key())
			full := slices.Concat(table, keys)
			if len(full) != 3 || !isProfile(full[:2], profile) {
				continue
			}
			m := member{key: strings.ReplaceAll(full[2], "-", "_"), start: skipped + int(e.Raw.Offset)}
			m.end = m.start + int(e.Raw.Length)
			m.prefix = string(text[m.start : skipped+last])
			kinds := []unstable.Kind{unstable.String, unstable.Bool}
			if set := settingOfKey(m.key); set != nil && set.isPorts {
				kinds = []unstable.Kind{unstable.Array, unstable.Integer}
			}
			if v := e.Value(); slices.Contains(kinds, v.Kind) {
				m.valueStart, m.valueEnd = valueAt(text, v, skipped, skipped+end, m.end)
			}
			s.members = append(s.members, m)
		}
	}
	if p.Error() != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, errNotTOML)
	}
	return s, nil
}

// valueAt returns where a value is that stands between a key and the end of its line; 0: that is not known. skipped is
// where the parser began.
func valueAt(text []byte, v *unstable.Node, skipped, from, to int) (start, end int) {
	switch {
	case v.Kind == unstable.Bool: // of which the parser does not tell the place
		return boolean(text, from, to)
	case v.Kind == unstable.Array: // likewise
		if i := bytes.IndexByte(text[from:to], '['); i >= 0 {
			return from + i, to
		}
		return 0, 0
	case v.Raw.Length > 0:
		start = skipped + int(v.Raw.Offset)
		return start, start + int(v.Raw.Length)
	}
	return 0, 0
}

// boolean returns where true or false stands after a key.
func boolean(text []byte, from, to int) (start, end int) {
	rest := text[from:to]
	for _, literal := range []string{"true", "false"} {
		if i := bytes.Index(rest, []byte(literal)); i >= 0 {
			return from + i, from + i + len(literal)
		}
	}
	return 0, 0
}

// path returns the parts of a key, where it ends, and where its last part begins.
func path(key unstable.Iterator) (parts []string, end, last int) {
	for key.Next() {
		n := key.Node()
		parts = append(parts, string(n.Data))
		last = int(n.Raw.Offset)
		end = last + int(n.Raw.Length)
	}
	return parts, end, last
}

// isProfile reports whether a table is that of a profile.
func isProfile(table []string, profile string) bool {
	return len(table) == 2 && (table[0] == "profile" || table[0] == "profiles") && table[1] == profile
}

// OfProfile returns what a profile of config.toml sets, by key, without its secret and its tables. ok reports whether
// there is such a profile.
func OfProfile(in Input, profile string) (values map[string]string, ok bool, err error) {
	profiles, err := readProfiles(in)
	if err != nil {
		return nil, false, err
	}
	table, ok := profiles[profile]
	values = map[string]string{}
	for written := range table {
		s := settingOfKey(strings.ReplaceAll(written, "-", "_"))
		if s == nil || s.isTable || s.isSecret {
			continue
		}
		if text, isText := table[written].(string); isText {
			values[s.key] = text
		}
	}
	return values, ok, nil
}
