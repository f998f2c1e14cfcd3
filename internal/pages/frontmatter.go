package pages

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxFrontMatter is how long front matter may be, in bytes.
const maxFrontMatter = 16 << 10

// frontMatter is what stands between the --- lines at the beginning of a Markdown file:
//
//	---
//	title: Payroll
//	require:                              # each claim must have, or contain, one of its values
//	  https://example.com/roles: [hr, admin]
//	  org_id: org_8f2k
//	acr: urn:example:mfa
//	max_age: 10m
//	---
//
// It is YAML, of which only this small part is known: keys with a value or a list of values, each on one line, without
// anchors, aliases, tags and blocks of text. Everything else is an error, for a page whose requirement is misspelt must
// not be shown to everyone. A YAML library costs every run of loopkey a quarter of a million instructions before main;
// the tests have one, which must read the same wherever this reader reads anything.
type frontMatter struct {
	title   string
	require requirement
}

// ignored are keys that other tools read. Every other key is an error: it may be a misspelt requirement.
var ignored = []string{
	"author", "categories", "date", "description", "keywords", "lang", "layout", "tags", "updated", "weight",
}

// A frontMatterError says on which line of the file front matter can't be understood, and why.
type frontMatterError struct {
	line   int // 1 is the first line of the file
	reason string
}

func (e *frontMatterError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.reason) }

// readFrontMatter returns the front matter of a Markdown file and the text after it. A file without any has the zero
// frontMatter. Its errors are *frontMatterError.
func readFrontMatter(source []byte) (frontMatter, []byte, error) {
	lines, body, first, err := cutFrontMatter(source)
	if err != nil || lines == nil {
		return frontMatter{}, body, err
	}
	r := &frontMatterReader{}
	for i, raw := range lines {
		l, err := newLine(first+i, raw)
		if err != nil {
			return frontMatter{}, nil, err
		}
		if l.text != "" {
			r.lines = append(r.lines, l)
		}
	}
	fm, err := r.read()
	if err != nil {
		return frontMatter{}, nil, err
	}
	return fm, body, nil
}

// cutFrontMatter returns the lines between the --- lines, nil if there are none, and the number of the first. It goes
// far to recognise an opening line, for a page whose front matter is taken for text is open to every logged-in user.
func cutFrontMatter(source []byte) (lines []string, body []byte, first int, err error) {
	if i := bytes.IndexByte(source, 0); i >= 0 || !utf8.Valid(source) {
		return nil, nil, 0, &frontMatterError{1, "the file is not UTF-8 text: save it as UTF-8"}
	}
	opened := false
	rest := source
	for n := 1; ; n++ {
		raw, after, more := bytes.Cut(rest, []byte("\n"))
		text := strings.TrimRight(string(raw[:min(len(raw), maxFrontMatter)]), " \t\r")
		if !opened {
			text = strings.TrimFunc(text, func(c rune) bool { return unicode.IsSpace(c) || unicode.Is(unicode.Cf, c) })
		}
		switch {
		case !opened && text == "" && more:
		case !opened && text == "---":
			opened, lines, first = true, []string{}, n+1
		case !opened && (text == "+++" || len(text) > 3 && text[:3] == "---" && strings.ContainsRune(" \t\r", rune(text[3]))):
			return nil, nil, 0, &frontMatterError{n, "front matter stands between lines that are --- and nothing else"}
		case !opened:
			return nil, source, 0, nil
		case text == "---" || text == "...":
			return lines, after, first, nil
		case !more || len(source)-len(after) > maxFrontMatter:
			return nil, nil, 0, &frontMatterError{first - 1, "the front matter that begins here has no closing --- line"}
		default:
			lines = append(lines, text)
		}
		rest = after
	}
}

// A line is one with neither nothing nor only a comment on it.
type line struct {
	number, indent int
	text           string
}

func newLine(number int, raw string) (line, error) {
	text := strings.TrimLeft(raw, " ")
	l := line{number: number, indent: len(raw) - len(text), text: text}
	if reason := unwanted(raw); reason != "" {
		return l, l.errorf("%s", reason)
	}
	if strings.HasPrefix(text, "#") {
		l.text = ""
	}
	return l, nil
}

// unwanted says what a line has that YAML reads otherwise than people do, if it has it.
func unwanted(text string) string {
	switch indented := strings.TrimLeft(text, " "); {
	case strings.HasPrefix(indented, "\t"):
		return "indent with spaces: YAML allows no tab there"
	case strings.ContainsFunc(text, func(c rune) bool {
		return unicode.IsControl(c) && c != '\t' || c == '\uFEFF' || c == '\u2028' || c == '\u2029' // YAML ends a line there
	}):
		return "it has a control character"
	case strings.HasPrefix(text, "---"), strings.HasPrefix(text, "..."):
		return "front matter ends at a line that is --- and nothing else"
	}
	return ""
}

func (l line) errorf(format string, args ...any) error {
	return &frontMatterError{l.number, fmt.Sprintf(format, args...)}
}

// A frontMatterReader goes through the lines once.
type frontMatterReader struct {
	lines []line
}

// next takes the next line, if there is one that ok accepts.
func (r *frontMatterReader) next(ok func(line) bool) (line, bool) {
	if len(r.lines) == 0 || !ok(r.lines[0]) {
		return line{}, false
	}
	l := r.lines[0]
	r.lines = r.lines[1:]
	return l, true
}

// read reads the keys at the top.
func (r *frontMatterReader) read() (frontMatter, error) {
	var fm frontMatter
	seen := map[string]bool{}
	for {
		l, ok := r.next(func(line) bool { return true })
		if !ok {
			return fm, nil
		}
		if l.indent != 0 {
			return fm, l.errorf("it is indented, but belongs to no key")
		}
		key, value, err := l.entry()
		if err != nil {
			return fm, err
		}
		if seen[key] {
			return fm, l.errorf("%q stands there twice", key)
		}
		seen[key] = true
		switch key {
		case "title":
			fm.title, err = r.text(l, key, value)
		case "require":
			fm.require.claims, err = r.claims(l, value)
		case "acr":
			fm.require.acr, err = r.acr(l, value)
		case "max_age":
			fm.require.maxAge, err = r.maxAge(l, value)
		default:
			if !slices.Contains(ignored, key) {
				err = l.errorf("%q is not a key that is known here: title, require, acr and max_age are (and %s are ignored)",
					key, strings.Join(ignored, ", "))
			}
			if err == nil {
				err = r.ignore(l, value)
			}
		}
		if err != nil {
			return fm, err
		}
	}
}

// ignore passes over the value of a key that other tools read: what is on the line of the key, or a list, keys or a
// text in the lines below it. It refuses a value that goes on in the next line, which may look like a requirement.
func (r *frontMatterReader) ignore(l line, value string) error {
	below := value == ""
	if value != "" && strings.ContainsRune("|>", rune(value[0])) {
		below = l.end(strings.TrimLeft(value[1:], "+-0123456789")) == nil
	}
	if !below {
		return l.whole(value)
	}
	for ok := true; ok; {
		_, ok = r.next(func(n line) bool { return n.indent > 0 || value == "" && n.isItem() })
	}
	return nil
}

// whole refuses a value that does not end on its line.
func (l line) whole(text string) error {
	if c := text[0]; c != '"' && c != '\'' && c != '[' && c != '{' {
		before, _, _ := strings.Cut(text, " #")
		return l.noColon(strings.TrimRight(before, " \t"))
	}
	open, last := 0, byte(',')
	for text != "" {
		c := text[0]
		if (c == '"' || c == '\'') && strings.IndexByte("[{,:", last) >= 0 { // elsewhere it is an apostrophe
			var err error
			if _, text, err = l.quoted(text); err != nil {
				return err
			}
		} else {
			text = text[1:]
		}
		switch c {
		case ' ', '\t':
			continue
		case '[', '{':
			open++
		case ']', '}':
			open--
		}
		if last = c; open == 0 {
			return l.end(text)
		}
	}
	return l.errorf("a list is not closed on its line")
}

// text reads the one value of a key.
func (r *frontMatterReader) text(l line, key, value string) (string, error) {
	values, list, err := r.values(l, value)
	if err != nil {
		return "", err
	}
	if list {
		return "", l.errorf("%s takes one value, not a list", key)
	}
	return values[0].text, nil
}

// claims reads what is under require: a value or a list of values for each claim.
func (r *frontMatterReader) claims(l line, value string) ([]claimRequirement, error) {
	if value != "" {
		return l.flowMap(value)
	}
	var claims []claimRequirement
	indent := -1
	for {
		n, ok := r.next(func(n line) bool { return n.indent > l.indent })
		if !ok {
			break
		}
		if indent < 0 {
			indent = n.indent
		}
		if n.indent != indent {
			return nil, n.errorf("it is not indented like the line before")
		}
		name, value, err := n.entry()
		if err != nil {
			return nil, err
		}
		values, _, err := r.values(n, value)
		if err != nil {
			return nil, err
		}
		if claims, err = n.add(claims, name, values); err != nil {
			return nil, err
		}
	}
	if claims == nil {
		return nil, l.errorf("require asks for nothing: write a claim and its value under it, indented")
	}
	return claims, nil
}

func (l line) add(claims []claimRequirement, name string, values []want) ([]claimRequirement, error) {
	if slices.ContainsFunc(claims, func(c claimRequirement) bool { return c.name == name }) {
		return nil, l.errorf("%q stands there twice: a list says that any of several values will do", name)
	}
	return append(claims, claimRequirement{name, values}), nil
}

func (r *frontMatterReader) acr(l line, value string) ([]string, error) {
	values, _, err := r.values(l, value)
	if err != nil {
		return nil, err
	}
	acr := make([]string, len(values))
	for i, v := range values {
		// acr_values is a list with spaces between (and a quoted string in RFC 9470, section 3).
		if strings.ContainsFunc(v.text, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return nil, l.errorf("an acr is ASCII without spaces and quotes: several are a list, [one, another]")
		}
		acr[i] = v.text
	}
	return acr, nil
}

// maxAge reads seconds, as the max_age of a login has them, or a number with a unit.
func (r *frontMatterReader) maxAge(l line, value string) (time.Duration, error) {
	text, err := r.text(l, "max_age", value)
	if err != nil {
		return 0, err
	}
	digits, unit := text, time.Second
	if i := strings.IndexByte("smhd", text[len(text)-1]); i >= 0 {
		digits = text[:len(text)-1]
		unit = [...]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}[i]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || time.Duration(n) > 10*365*24*time.Hour/unit {
		return 0, l.errorf("max_age is a number of seconds above 0, or one with s, m, h or d after it")
	}
	return time.Duration(n) * unit, nil
}

// values reads what a key has: one value, [a, list], or a list below it, an item a line.
func (r *frontMatterReader) values(l line, value string) (values []want, list bool, err error) {
	if strings.HasPrefix(value, "[") {
		values, rest, err := l.flowList(value)
		if err != nil {
			return nil, false, err
		}
		return values, true, l.end(rest)
	}
	if value != "" {
		v, rest, err := l.scalar(value, "")
		if err != nil {
			return nil, false, err
		}
		return []want{v}, false, l.end(rest)
	}
	indent := -1
	for {
		n, ok := r.next(func(n line) bool { return n.isItem() && n.indent >= l.indent && (indent < 0 || n.indent == indent) })
		if !ok {
			break
		}
		indent = n.indent
		v, rest, err := n.scalar(strings.TrimLeft(n.text[1:], " \t"), "")
		if err != nil {
			return nil, false, err
		}
		if err := n.end(rest); err != nil {
			return nil, false, err
		}
		values = append(values, v)
	}
	if values == nil {
		return nil, false, l.errorf("it has no value")
	}
	return values, true, nil
}

func (l line) isItem() bool { return l.text == "-" || strings.HasPrefix(l.text, "- ") }

// indicators are the characters with which YAML begins what is no plain value.
const indicators = "-?:,[]{}#&*!|>'\"%@`"

// entry splits "key: value" and takes a comment for no value. A plain key ends at
// the first colon with a space after it, so that a claim's name may be a URL.
func (l line) entry() (key, value string, err error) {
	key, value, err = l.key(l.text)
	if err != nil {
		return "", "", err
	}
	if strings.HasPrefix(value, "#") {
		value = ""
	}
	return key, value, nil
}

func (l line) key(text string) (key, rest string, err error) {
	if text[0] == '"' || text[0] == '\'' {
		k, rest, err := l.quoted(text)
		if err != nil {
			return "", "", err
		}
		after, ok := strings.CutPrefix(strings.TrimLeft(rest, " \t"), ":")
		if !ok || k == "" {
			return "", "", l.errorf("a key is followed by a colon and its value")
		}
		return k, strings.TrimLeft(after, " \t"), nil
	}
	for i, c := range text {
		if c != ':' || i+1 < len(text) && text[i+1] != ' ' && text[i+1] != '\t' {
			continue
		}
		key = strings.TrimRight(text[:i], " \t")
		if key == "" || key == "<<" || strings.ContainsRune(indicators, rune(key[0])) || strings.Contains(key, " #") {
			break
		}
		return key, strings.TrimLeft(text[i+1:], " \t"), nil
	}
	return "", "", l.errorf("it is not of the form key: value")
}

// end reports whatever stands after a value and is no comment.
func (l line) end(rest string) error {
	after := strings.TrimLeft(rest, " \t")
	if after == "" || after[0] == '#' && len(after) < len(rest) {
		return nil
	}
	return l.errorf("something stands after the value")
}

// scalar reads one value and returns what is after it. The characters of stops end a plain value; there are some only
// in brackets.
func (l line) scalar(text, stops string) (want, string, error) {
	if text == "" {
		return want{}, "", l.errorf("a value is missing")
	}
	if text[0] == '"' || text[0] == '\'' {
		value, rest, err := l.quoted(text)
		if err == nil && value == "" {
			err = l.errorf("a value is empty")
		}
		return want{value, true}, rest, err
	}
	end := len(text)
	if i := strings.IndexAny(text, stops); stops != "" && i >= 0 {
		end = i
	}
	for _, comment := range []string{" #", "\t#"} {
		if i := strings.Index(text[:end], comment); i >= 0 {
			end = i
		}
	}
	value := strings.TrimRight(text[:end], " \t")
	switch {
	case value == "":
		return want{}, "", l.errorf("a value is missing")
	case strings.ContainsRune(indicators, rune(value[0])) && !isNegative(value):
		return want{}, "", l.errorf("a value that begins with %q is read as plain text only between quotes", value[:1])
	case value == "~" || strings.EqualFold(value, "null"):
		return want{}, "", l.errorf("null is no value")
	}
	return want{text: value}, text[end:], l.noColon(value)
}

// noColon refuses a plain text that YAML takes for a key with a value.
func (l line) noColon(text string) error {
	if strings.Contains(text, ": ") || strings.Contains(text, ":\t") || strings.HasSuffix(text, ":") {
		return l.errorf("a text with a colon in it stands between quotes")
	}
	return nil
}

func isNegative(value string) bool {
	return len(value) > 1 && value[0] == '-' && value[1] >= '0' && value[1] <= '9'
}

// quoted reads a value between quotes, on this line.
func (l line) quoted(text string) (value, rest string, err error) {
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote: // 'it''s'
			b.WriteByte(quote)
			i++
		case c == quote:
			return b.String(), text[i+1:], nil
		case c == '\\' && quote == '"':
			i++
			if i == len(text) || text[i] != '"' && text[i] != '\\' && text[i] != '/' {
				return "", "", l.errorf(`between double quotes only \" and \\ are known`)
			}
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", l.errorf("a quote is not closed on its line")
}

// flowList reads [a, "b"].
func (l line) flowList(text string) (values []want, rest string, err error) {
	for text = text[1:]; ; {
		v, after, err := l.scalar(strings.TrimLeft(text, " \t"), ",[]{}")
		if err != nil {
			return nil, "", err
		}
		values = append(values, v)
		switch after = strings.TrimLeft(after, " \t"); {
		case strings.HasPrefix(after, "]"):
			return values, after[1:], nil
		case strings.HasPrefix(after, ","):
			text = after[1:]
		default:
			return nil, "", l.errorf("a list is not closed on its line")
		}
	}
}

// flowMap reads {claim: value, other: [a, b]}.
func (l line) flowMap(text string) (claims []claimRequirement, err error) {
	if text[0] != '{' {
		return nil, l.errorf("require takes claims with their values: {claim: value}, or indented lines below it")
	}
	for text = text[1:]; ; {
		if text = strings.TrimLeft(text, " \t"); text == "" {
			return nil, l.errorf("a brace is not closed on its line")
		}
		name, value, err := l.key(text)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(name, ",[]{}") && text[0] != '"' && text[0] != '\'' {
			return nil, l.errorf("it is not of the form {claim: value}")
		}
		var values []want
		var after string
		if strings.HasPrefix(value, "[") {
			values, after, err = l.flowList(value)
		} else {
			var v want
			v, after, err = l.scalar(value, ",[]{}")
			values = []want{v}
		}
		if err != nil {
			return nil, err
		}
		if claims, err = l.add(claims, name, values); err != nil {
			return nil, err
		}
		switch after = strings.TrimLeft(after, " \t"); {
		case strings.HasPrefix(after, "}"):
			return claims, l.end(after[1:])
		case strings.HasPrefix(after, ","):
			text = after[1:]
		default:
			return nil, l.errorf("a brace is not closed on its line")
		}
	}
}
