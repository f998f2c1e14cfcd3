package pages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
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
// It is YAML, of which only this small part is taken: keys with a value or a list of values, each on one line, without
// anchors, aliases, tags and blocks of text. Everything else is an error, for a page whose requirement is misspelt must
// not be shown to everyone.
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
	fm, err := (&frontMatterReader{lines, first}).read()
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

// A frontMatterReader reads the lines between the --- lines.
type frontMatterReader struct {
	lines []string
	first int // the number of the first in the file
}

// errorf returns an error about a node.
func (r *frontMatterReader) errorf(n *yaml.Node, format string, args ...any) error {
	return &frontMatterError{r.first + r.index(n), fmt.Sprintf(format, args...)}
}

// index returns which of the lines a node begins on: YAML counts from 1, and parseYAML puts a --- line before them. An
// empty node may be said to begin after the last.
func (r *frontMatterReader) index(n *yaml.Node) int { return min(max(n.Line-2, 0), len(r.lines)-1) }

// read reads the keys at the top.
func (r *frontMatterReader) read() (frontMatter, error) {
	var fm frontMatter
	for i, text := range r.lines {
		if reason := unwanted(text); reason != "" {
			return fm, &frontMatterError{r.first + i, reason}
		}
	}
	if !slices.ContainsFunc(r.lines, isSaid) {
		return fm, nil
	}
	root, err := r.parse()
	switch {
	case err != nil:
		return fm, err
	case root.Kind != yaml.MappingNode || root.Style != 0 || root.Anchor != "":
		return fm, r.errorf(root, "it is not of the form key: value")
	}
	seen := map[string]bool{}
	begins := make([]bool, len(r.lines)) // the lines with a key at the top
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		name, err := r.key(key)
		switch {
		case err != nil:
			return fm, err
		case key.Column != 1:
			return fm, r.errorf(key, "it is indented, but belongs to no key")
		case seen[name]:
			return fm, r.errorf(key, "%q stands there twice", name)
		}
		seen[name], begins[r.index(key)] = true, true
		switch name {
		case "title":
			fm.title, err = r.text(key, value)
		case "require":
			fm.require.claims, err = r.claims(key, value)
		case "acr":
			fm.require.acr, err = r.acr(key, value)
		case "max_age":
			fm.require.maxAge, err = r.maxAge(key, value)
		default:
			if !slices.Contains(ignored, name) {
				err = r.errorf(key, "%q is not a key that is known here: title, require, acr and max_age are (and %s are ignored)",
					name, strings.Join(ignored, ", "))
			}
		}
		if err != nil {
			return fm, err
		}
	}
	// In quotes or brackets that stay open, YAML takes a line for a part of the value before. It may be a requirement.
	for i, text := range r.lines {
		if isSaid(text) && text[0] != ' ' && text != "-" && !strings.HasPrefix(text, "- ") && !begins[i] {
			return fm, &frontMatterError{r.first + i, "it is not of the form key: value"}
		}
	}
	return fm, nil
}

// isSaid reports whether a line is neither blank nor a comment.
func isSaid(text string) bool {
	text = strings.TrimLeft(text, " ")
	return text != "" && text[0] != '#'
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

// mostBlamed is for how many lines parse looks for the one to blame; of more it blames the first.
const mostBlamed = 64

// parse returns the root of the YAML. It blames an error on the first line after which nothing
// reads well. The YAML parser names the line where it noticed, if any.
func (r *frontMatterReader) parse() (*yaml.Node, error) {
	root, err := parseYAML(r.lines)
	if err == nil {
		return root, nil
	}
	bad := 0
	if len(r.lines) <= mostBlamed {
		bad = len(r.lines) - 1
		for ; bad > 0; bad-- {
			if _, err := parseYAML(r.lines[:bad]); err == nil {
				break
			}
		}
	}
	reason := strings.TrimPrefix(err.Error(), "yaml: ")
	if place, after, ok := strings.Cut(reason, ": "); ok && strings.HasPrefix(place, "line ") {
		reason = after
	}
	return nil, &frontMatterError{r.first + bad, "it is no YAML: " + reason}
}

func parseYAML(lines []string) (*yaml.Node, error) {
	// The --- line makes a YAML directive an error.
	decoder := yaml.NewDecoder(strings.NewReader("---\n" + strings.Join(lines, "\n") + "\n"))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a second document begins")
	}
	return document.Content[0], nil
}

// at returns what is before a node on its line, and the rest of the line from its beginning.
func (r *frontMatterReader) at(n *yaml.Node) (before, text string) {
	line, i := r.lines[r.index(n)], 0
	for range n.Column - 1 { // counted in characters
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
	}
	return line[:i], line[i:]
}

// scalar returns the value of a node, and what is after it on its line. It compares the value with what is written, so
// it refuses whatever YAML joins from several lines or takes for something else than it looks like.
func (r *frontMatterReader) scalar(n *yaml.Node) (value want, rest string, err error) {
	value = want{n.Value, n.Style != 0}
	written := n.Value
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "", n.Style&yaml.TaggedStyle != 0:
		return want{}, "", r.errorf(n, "aliases, anchors and tags (*, & and !) are known only between quotes")
	case n.Kind != yaml.ScalarNode:
		return want{}, "", r.errorf(n, "a value is missing")
	case n.Style == yaml.SingleQuotedStyle:
		written = "'" + strings.ReplaceAll(written, "'", "''") + "'"
	case n.Style == yaml.DoubleQuotedStyle:
		written = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(written) + `"`
	case n.Style != 0:
		return want{}, "", r.errorf(n, "a text stands on one line: | and > are known only between quotes")
	}
	_, text := r.at(n)
	if n.Style == yaml.DoubleQuotedStyle && !strings.HasPrefix(text, written) {
		text = strings.ReplaceAll(text, `\/`, "/")
	}
	rest, ok := strings.CutPrefix(text, written)
	if !ok {
		return want{}, "", r.errorf(n, `a value stands on one line, and between double quotes only \" and \\ are known`)
	}
	return value, rest, nil
}

// marks are the characters that YAML takes for text or for marks of its own, by what follows.
const marks = "-?:"

// key returns the text of a key. It refuses "? key", and the merge key <<, which YAML's users expect to be obeyed.
func (r *frontMatterReader) key(n *yaml.Node) (string, error) {
	k, rest, err := r.scalar(n)
	if err != nil {
		return "", err
	}
	before, _ := r.at(n)
	before = strings.TrimRight(before, " \t")
	switch {
	case k.text == "", !k.quoted && (k.text == "<<" || strings.ContainsRune(marks, rune(k.text[0]))),
		before != "" && !strings.ContainsRune("{,", rune(before[len(before)-1])),
		!strings.HasPrefix(strings.TrimLeft(rest, " \t"), ":"):
		return "", r.errorf(n, "it is not of the form key: value")
	}
	return k.text, nil
}

// value returns one value, and what is after it on its line.
func (r *frontMatterReader) value(n *yaml.Node) (value want, rest string, err error) {
	value, rest, err = r.scalar(n)
	switch {
	case err != nil:
		return want{}, "", err
	case value.text == "":
		return want{}, "", r.errorf(n, "a value is empty")
	case value.quoted:
	case value.text == "~" || strings.EqualFold(value.text, "null"):
		return want{}, "", r.errorf(n, "null is no value")
	case strings.HasSuffix(value.text, ":"):
		return want{}, "", r.errorf(n, "a value that ends with a colon is known only between quotes")
	case strings.ContainsRune(marks, rune(value.text[0])) && !isNegative(value.text):
		return want{}, "", r.errorf(n, "a value that begins with %q is known only between quotes", value.text[:1])
	}
	return value, rest, nil
}

func isNegative(value string) bool {
	return len(value) > 1 && value[0] == '-' && value[1] >= '0' && value[1] <= '9'
}

// values returns what a key has, and what is after it on its line: one value, [a, list], or a list below it, an item a
// line.
func (r *frontMatterReader) values(key, n *yaml.Node) (values []want, rest string, err error) {
	switch {
	case n.Kind == yaml.MappingNode:
		return nil, "", r.errorf(key, "it takes a value or a list of values")
	case n.Kind != yaml.SequenceNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
		if n.Line != key.Line || n.Value == "" && n.Style == 0 && n.Kind == yaml.ScalarNode {
			return nil, "", r.errorf(key, "it has no value on its line")
		}
		v, rest, err := r.value(n)
		return []want{v}, rest, err
	case len(n.Content) == 0:
		return nil, "", r.errorf(key, "its list is empty")
	}
	flow := n.Style&yaml.FlowStyle != 0
	for _, item := range n.Content {
		var v want
		v, rest, err = r.value(item)
		if err != nil {
			return nil, "", err
		}
		before, _ := r.at(item)
		if flow && item.Line != key.Line || !flow && (strings.TrimSpace(before) != "-" || r.end(item, rest) != nil) {
			return nil, "", r.errorf(item, "a list is [one, another], or an item a line with - before it")
		}
		values = append(values, v)
	}
	if !flow {
		return values, "", nil
	}
	rest, err = r.closed(key, rest, "]")
	return values, rest, err
}

// closed returns what is after the bracket that closes a list or braces on the line where they open.
func (r *frontMatterReader) closed(key *yaml.Node, rest, bracket string) (string, error) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(rest, " \t"), bracket)
	if !ok {
		return "", r.errorf(key, "%s stands on the line where the list or the braces begin, after a value", bracket)
	}
	return rest, nil
}

// end reports whatever stands after a value and is no comment.
func (r *frontMatterReader) end(n *yaml.Node, rest string) error {
	after := strings.TrimLeft(rest, " \t")
	if after == "" || after[0] == '#' && len(after) < len(rest) {
		return nil
	}
	return r.errorf(n, "something stands after the value")
}

// list returns the value or the values of a key at the end of a line.
func (r *frontMatterReader) list(key, n *yaml.Node) ([]want, error) {
	values, rest, err := r.values(key, n)
	if err != nil {
		return nil, err
	}
	return values, r.end(key, rest)
}

// text returns the one value of a key.
func (r *frontMatterReader) text(key, n *yaml.Node) (string, error) {
	values, err := r.list(key, n)
	if err != nil {
		return "", err
	}
	if n.Kind == yaml.SequenceNode {
		return "", r.errorf(key, "%s takes one value, not a list", key.Value)
	}
	return values[0].text, nil
}

// claims returns what is under require: a value or a list of values for each claim.
func (r *frontMatterReader) claims(key, n *yaml.Node) ([]claimRequirement, error) {
	if n.Kind == yaml.ScalarNode && n.Style == 0 && n.Value == "" || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		return nil, r.errorf(key, "require asks for nothing: write a claim and its value under it, indented")
	}
	if n.Kind != yaml.MappingNode || n.Anchor != "" || n.Style&^yaml.FlowStyle != 0 {
		return nil, r.errorf(key, "require takes claims with their values: {claim: value}, or indented lines below it")
	}
	flow := n.Style&yaml.FlowStyle != 0
	var claims []claimRequirement
	rest := ""
	for i := 0; i < len(n.Content); i += 2 {
		claim := n.Content[i]
		name, err := r.key(claim)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(claims, func(c claimRequirement) bool { return c.name == name }) {
			return nil, r.errorf(claim, "%q stands there twice: a list says that any of several values will do", name)
		}
		var values []want
		if flow {
			if claim.Line != key.Line {
				return nil, r.errorf(key, "a brace is not closed on its line")
			}
			values, rest, err = r.values(claim, n.Content[i+1])
		} else {
			values, err = r.list(claim, n.Content[i+1])
		}
		if err != nil {
			return nil, err
		}
		claims = append(claims, claimRequirement{name, values})
	}
	if flow {
		var err error
		if rest, err = r.closed(key, rest, "}"); err != nil {
			return nil, err
		}
	}
	return claims, r.end(key, rest)
}

// acr returns the values of acr.
func (r *frontMatterReader) acr(key, n *yaml.Node) ([]string, error) {
	values, err := r.list(key, n)
	if err != nil {
		return nil, err
	}
	acr := make([]string, len(values))
	for i, v := range values {
		// acr_values is a list with spaces between (and a quoted string in RFC 9470, section 3).
		if strings.ContainsFunc(v.text, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return nil, r.errorf(key, "an acr is ASCII without spaces and quotes: several are a list, [one, another]")
		}
		acr[i] = v.text
	}
	return acr, nil
}

// maxAge returns the value of max_age: seconds, as the max_age of a login has them, or a number with a unit.
func (r *frontMatterReader) maxAge(key, n *yaml.Node) (time.Duration, error) {
	text, err := r.text(key, n)
	if err != nil {
		return 0, err
	}
	digits, unit := text, time.Second
	if i := strings.IndexByte("smhd", text[len(text)-1]); i >= 0 {
		digits = text[:len(text)-1]
		unit = [...]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}[i]
	}
	count, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || count == 0 || time.Duration(count) > 10*365*24*time.Hour/unit {
		return 0, r.errorf(key, "max_age is a number of seconds above 0, or one with s, m, h or d after it")
	}
	return time.Duration(count) * unit, nil
}
