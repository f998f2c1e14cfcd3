package markdown

import (
	"slices"
	"strings"
)

// htmlStart returns which of the seven conditions for the start of an HTML block a text meets, or 0. The numbers are
// those of the specification, section "HTML blocks".
func htmlStart(text string) int {
	switch {
	case strings.HasPrefix(text, "<!--"):
		return 2
	case strings.HasPrefix(text, "<?"):
		return 3
	case strings.HasPrefix(text, "<![CDATA["):
		return 5
	case len(text) > 2 && text[:2] == "<!" && isLetter(text[2]):
		return 4
	}
	name := strings.TrimPrefix(text[1:], "/")
	after := strings.TrimLeft(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
	name = strings.ToLower(name[:len(name)-len(after)])
	ends := after == "" || isBlank(after[0]) || after[0] == '>'
	switch {
	case ends && !strings.HasPrefix(text, "</") && slices.Contains(rawElements(), name):
		return 1
	case (ends || strings.HasPrefix(after, "/>")) && isBlockElement(name):
		return 6
	}
	if length := tag(text); length > 0 && strings.Trim(text[length:], " \t") == "" {
		return 7
	}
	return 0
}

// htmlEnds reports whether an HTML block of that condition ends with a line. Those of 6 and 7 end before a blank line.
func htmlEnds(condition int, line string) bool {
	switch condition {
	case 1:
		line = strings.ToLower(line)
		return slices.ContainsFunc(rawElements(), func(name string) bool { return strings.Contains(line, "</"+name+">") })
	case 2:
		return strings.Contains(line, "-->")
	case 3:
		return strings.Contains(line, "?>")
	case 4:
		return strings.Contains(line, ">")
	case 5:
		return strings.Contains(line, "]]>")
	}
	return false
}

// rawElements are the elements whose content is no HTML.
func rawElements() []string { return []string{"pre", "script", "style", "textarea"} }

func isBlockElement(name string) bool {
	switch name {
	case "address", "article", "aside", "base", "basefont", "blockquote", "body", "caption", "center", "col", "colgroup",
		"dd", "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frame",
		"frameset", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "iframe", "legend", "li", "link",
		"main", "menu", "menuitem", "nav", "noframes", "ol", "optgroup", "option", "p", "param", "search", "section",
		"summary", "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr", "track", "ul":
		return true
	}
	return false
}

// tag returns the length of the open or closing tag that a text begins with, or 0.
func tag(text string) int {
	i := 1
	closing := strings.HasPrefix(text[i:], "/")
	if closing {
		i++
	}
	if i == len(text) || !isLetter(text[i]) {
		return 0
	}
	for i < len(text) && (isLetter(text[i]) || isDigit(text[i]) || text[i] == '-') {
		i++
	}
	for {
		spaced := skipSpace(text, i)
		switch {
		case spaced == len(text):
			return 0
		case text[spaced] == '>':
			return spaced + 1
		case closing:
			return 0
		case strings.HasPrefix(text[spaced:], "/>"):
			return spaced + 2
		case spaced == i:
			return 0
		}
		if i = attribute(text, spaced); i == 0 {
			return 0
		}
	}
}

// attribute returns where the attribute ends that begins at i, or 0 if none does.
func attribute(text string, i int) int {
	begin := i
	for i < len(text) && (isLetter(text[i]) || strings.IndexByte("_:", text[i]) >= 0 ||
		i > begin && (isDigit(text[i]) || strings.IndexByte(".-", text[i]) >= 0)) {
		i++
	}
	if i == begin {
		return 0
	}
	equals := skipSpace(text, i)
	if equals == len(text) || text[equals] != '=' {
		return i
	}
	value := skipSpace(text, equals+1)
	if value == len(text) {
		return 0
	}
	if quote := text[value]; quote == '"' || quote == '\'' {
		end := strings.IndexByte(text[value+1:], quote)
		if end < 0 {
			return 0
		}
		return value + end + 2
	}
	end := value
	for end < len(text) && strings.IndexByte(" \t\n\"'=<>`", text[end]) < 0 {
		end++
	}
	if end == value {
		return 0
	}
	return end
}

// skipSpace returns where the next character from i on is that is no space.
func skipSpace(text string, i int) int {
	for i < len(text) && (isBlank(text[i]) || text[i] == '\n') {
		i++
	}
	return i
}

// WithoutComments returns a piece of HTML without its comments. One that does not end is shown, since what was meant to
// come after it would be missing.
func WithoutComments(source string) string {
	var kept strings.Builder
	for {
		before, rest, begins := strings.Cut(source, "<!--")
		_, after, ends := strings.Cut(rest, "-->")
		if !begins || !ends {
			kept.WriteString(source)
			return kept.String()
		}
		kept.WriteString(before)
		source = after
	}
}
