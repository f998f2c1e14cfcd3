package markdown

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxLabel       = 999 // characters between the brackets
	maxParentheses = 32  // in each other, in a destination
)

// definition reads the definition of a reference at the beginning of a text: [label]: destination "title". It returns
// its length, or 0 if there is none.
func definition(text string) (length int, label string, found reference) {
	i := linkLabel(text)
	if i == 0 || i == len(text) || text[i] != ':' {
		return 0, "", reference{}
	}
	label = normalize(text[1 : i-1])
	i = skipLine(text, i+1)
	destination, size, ok := linkDestination(text[i:])
	if !ok || label == "" || size == 0 {
		return 0, "", reference{}
	}
	i += size
	title, after := "", i
	if spaced := skipLine(text, i); spaced > i {
		if t, size := linkTitle(text[spaced:]); size > 0 {
			title, after = t, spaced+size
		}
	}
	if end, ok := lineEnd(text, after); ok {
		return end, label, reference{destination, title}
	}
	if end, ok := lineEnd(text, i); ok { // what looked like a title is text
		return end, label, reference{destination, ""}
	}
	return 0, "", reference{}
}

// lineEnd returns where the next line begins if nothing but spaces stands before it.
func lineEnd(text string, i int) (next int, ok bool) {
	for i < len(text) && isBlank(text[i]) {
		i++
	}
	if i == len(text) {
		return i, true
	}
	return i + 1, text[i] == '\n'
}

// skipLine passes over spaces and at most one end of a line.
func skipLine(text string, i int) int {
	for lines := 0; i < len(text); i++ {
		if text[i] == '\n' {
			lines++
		}
		if lines > 1 || !isBlank(text[i]) && text[i] != '\n' {
			break
		}
	}
	return i
}

// linkLabel returns the length of the label, with its brackets, that a text begins with, or 0.
func linkLabel(text string) int {
	if !strings.HasPrefix(text, "[") {
		return 0
	}
	for i, characters := 1, 0; i < len(text) && characters <= maxLabel; characters++ {
		switch text[i] {
		case '[':
			return 0
		case ']':
			return i + 1
		case '\\':
			i++
		}
		if i < len(text) {
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
		}
	}
	return 0
}

// normalize makes labels comparable: without spaces around, one space between words, upper and lower case the same.
func normalize(label string) string {
	label = strings.Join(strings.FieldsFunc(label, func(c rune) bool { return strings.ContainsRune(" \t\n", c) }), " ")
	return strings.ReplaceAll(strings.ToLower(strings.ToUpper(label)), "ß", "ss")
}

// linkDestination reads the destination that a text begins with. Its size is 0 if it is empty.
func linkDestination(text string) (destination string, size int, ok bool) {
	if strings.HasPrefix(text, "<") {
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '>':
				return unescape(text[1:i]), i + 1, true
			case '<', '\n':
				return "", 0, false
			case '\\':
				if i+1 < len(text) && isPunctuation(text[i+1]) {
					i++
				}
			}
		}
		return "", 0, false
	}
	i, open := 0, 0
loop:
	for ; i < len(text) && text[i] > ' ' && text[i] != 0x7F; i++ {
		switch text[i] {
		case '\\':
			if i+1 < len(text) && isPunctuation(text[i+1]) {
				i++
			}
		case '(':
			if open++; open > maxParentheses {
				return "", 0, false
			}
		case ')':
			if open--; open < 0 {
				open = 0
				break loop
			}
		}
	}
	return unescape(text[:i]), i, open == 0
}

// linkTitle reads the title that a text begins with, and returns its size, or 0 if there is none.
func linkTitle(text string) (title string, size int) {
	if text == "" {
		return "", 0
	}
	end := text[0]
	switch end {
	case '"', '\'':
	case '(':
		end = ')'
	default:
		return "", 0
	}
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == end:
			return unescape(text[1:i]), i + 1
		case text[i] == '(' && end == ')':
			return "", 0
		case text[i] == '\\':
			i++
		}
	}
	return "", 0
}

// unescape returns a text in which backslashes and character references stand for what they mean.
func unescape(text string) string {
	if !strings.ContainsAny(text, `\&`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && isPunctuation(text[i+1]):
			i++
			b.WriteByte(text[i])
		case c == '&':
			decoded, size := entity(text[i:])
			b.WriteString(decoded)
			i += size - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// entity decodes the character reference that a text begins with, and returns its size. Where none begins it returns
// the first character.
func entity(text string) (decoded string, size int) {
	end := strings.IndexByte(text[:min(len(text), 33)], ';')
	if end < 2 {
		return text[:1], 1
	}
	if name := text[1:end]; name[0] != '#' {
		// The decoder also knows names without a semicolon, and then leaves what is behind them.
		decoded = html.UnescapeString(text[:end+1])
		if strings.TrimLeft(name, alphanumeric) != "" || strings.HasSuffix(decoded, ";") && name != "semi" {
			return text[:1], 1
		}
		return decoded, end + 1
	}
	digits, base, most := text[2:end], 10, 7
	if digits != "" && (digits[0] == 'x' || digits[0] == 'X') {
		digits, base, most = digits[1:], 16, 6
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil || len(digits) > most {
		return text[:1], 1
	}
	if code == 0 {
		code = utf8.RuneError
	}
	return string(rune(code)), end + 1 //nolint:gosec // of seven digits; what is no character becomes U+FFFD
}

// isPunctuation reports whether c is ASCII punctuation, which a backslash escapes.
func isPunctuation(c byte) bool {
	return c > ' ' && c < 0x7F && !isLetter(c) && !isDigit(c)
}
