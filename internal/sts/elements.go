package sts

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// elements returns the name of a document's root, and the text of each element below it by the path of names from
// there: "Error/Code". It reads the XML that such services write, without attributes, and has no room for more: a
// document type, instructions, comments, entities of its own, names that do not match. Then ok is false.
//
// encoding/xml makes its tables of names and entities in every run of loopkey, also in those that ask no service. The
// tests have it: what elements reads, it reads the same.
func elements(document []byte) (root string, texts map[string]string, ok bool) {
	text := strings.ReplaceAll(strings.ReplaceAll(string(document), "\r\n", "\n"), "\r", "\n")
	r := elementReader{rest: text, texts: map[string]string{}}
	if !utf8.Valid(document) || strings.ContainsFunc(r.rest, notXML) {
		return "", nil, false
	}
	for _, encoding := range []string{"", ` encoding="UTF-8"`, ` encoding="utf-8"`} {
		if rest, ok := strings.CutPrefix(r.rest, `<?xml version="1.0"`+encoding+"?>"); ok {
			r.rest = rest
			break
		}
	}
	for r.rest != "" {
		if !r.next() {
			return "", nil, false
		}
	}
	if r.root == "" || len(r.open) > 0 {
		return "", nil, false
	}
	return r.root, r.texts, true
}

// notXML reports whether no XML document has c, not even as a reference (XML 1.0, section 2.2).
func notXML(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' || c == '\uFFFE' || c == '\uFFFF' || c >= 0xD800 && c < 0xE000
}

// An elementReader goes through a document once.
type elementReader struct {
	rest  string
	root  string
	open  []element // from the root to the one that is read
	texts map[string]string
}

// An element is one whose end has not come yet.
type element struct{ name, text string }

// next reads what is before the next mark, and that mark.
func (r *elementReader) next() bool {
	text, rest, marked := strings.Cut(r.rest, "<")
	if text, ok := plain(text); !ok || !r.add(text) {
		return false
	}
	r.rest = rest
	if !marked {
		return true
	}
	if inside, ok := strings.CutPrefix(rest, "![CDATA["); ok {
		inside, r.rest, ok = strings.Cut(inside, "]]>")
		return ok && len(r.open) > 0 && r.add(inside)
	}
	tag, rest, ok := strings.Cut(rest, ">")
	r.rest = rest
	if name, ends := strings.CutPrefix(tag, "/"); ends {
		return ok && r.end(strings.TrimRight(name, " \t\n"))
	}
	return ok && r.begin(tag)
}

// add adds text to the element that is open. Outside of the root there is only space.
func (r *elementReader) add(text string) bool {
	if len(r.open) == 0 {
		return strings.Trim(text, " \t\n") == ""
	}
	r.open[len(r.open)-1].text += text
	return true
}

// begin opens the element of a tag, and ends it too where the tag does.
func (r *elementReader) begin(tag string) bool {
	tag, empty := strings.CutSuffix(tag, "/")
	name, attributes, _ := strings.Cut(strings.ReplaceAll(tag, "\n", " "), " ")
	switch {
	case !isName(name), strings.ContainsAny(attributes, "&>"), len(r.open) == 0 && r.root != "", len(r.open) > 16:
		return false
	case !areAttributes(attributes):
		return false
	case len(r.open) == 0:
		r.root = local(name)
	}
	r.open = append(r.open, element{name: name})
	return !empty || r.end(name)
}

// end closes the element that is open.
func (r *elementReader) end(name string) bool {
	last := len(r.open) - 1
	if last < 0 || r.open[last].name != name {
		return false
	}
	path := make([]string, 0, last)
	for _, e := range r.open[1:] {
		path = append(path, local(e.name))
	}
	r.texts[strings.Join(path, "/")] = r.open[last].text
	r.open = r.open[:last]
	return true
}

// local returns a name without the prefix of its namespace.
func local(name string) string {
	if _, after, ok := strings.Cut(name, ":"); ok {
		return after
	}
	return name
}

// isName reports whether a name is one that such services use: letters, digits, one colon between.
func isName(name string) bool {
	for part := range strings.SplitSeq(name, ":") {
		if part == "" || part[0] >= '0' && part[0] <= '9' {
			return false
		}
		for _, c := range part {
			if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' {
				return false
			}
		}
	}
	return strings.Count(name, ":") <= 1
}

// areAttributes reports whether text is attributes with their values in quotes, such as a namespace. They mean nothing
// here.
func areAttributes(text string) bool {
	for text = strings.Trim(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		name, rest, ok := strings.Cut(text, "=")
		if !ok || !isName(name) || rest == "" || rest[0] != '"' && rest[0] != '\'' {
			return false
		}
		value, after, closed := strings.Cut(rest[1:], rest[:1])
		if !closed || strings.Contains(value, "<") || after != "" && after[0] != ' ' && after[0] != '\t' {
			return false
		}
		text = after
	}
	return true
}

// plain returns text with its references replaced by what they stand for.
func plain(text string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "&")
		b.WriteString(before)
		if !found {
			return b.String(), !strings.Contains(text, "]]>")
		}
		name, after, ok := strings.Cut(rest, ";")
		var c rune
		switch name {
		case "amp":
			c = '&'
		case "lt":
			c = '<'
		case "gt":
			c = '>'
		case "quot":
			c = '"'
		case "apos":
			c = '\''
		}
		if number, isNumber := strings.CutPrefix(name, "#"); isNumber {
			base := 10
			if hex, isHex := strings.CutPrefix(number, "x"); isHex {
				number, base = hex, 16
			}
			n, err := strconv.ParseUint(number, base, 21)
			ok = ok && err == nil && n <= utf8.MaxRune
			c = rune(n)
		}
		if !ok || c == 0 || notXML(c) && c != '\r' {
			return "", false
		}
		b.WriteRune(c)
		text = after
	}
}
