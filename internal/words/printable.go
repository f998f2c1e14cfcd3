// Package words makes text for people: foreign text that is safe to show, the
// names of people, and times and durations as one says them.
package words

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostPrintable is how many characters Printable lets through: a few lines of a terminal.
const mostPrintable = 600

// Printable returns foreign text for a terminal: one line of at most 600
// characters. Whatever could steer a terminal or turn the reading direction
// (control and format characters) becomes U+FFFD.
func Printable(text string) string {
	return shorten(strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t' || c == '\r':
			return ' '
		case !unicode.IsPrint(c):
			return utf8.RuneError
		}
		return c
	}, strings.ToValidUTF8(text, "\uFFFD")), mostPrintable)
}

// Line returns foreign text for a page: one line of at most limit characters.
// White space and control characters become single spaces; marks that change
// the reading direction of what stands around them are dropped. Other format
// characters stay, for names of people and emoji need them.
func Line(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "\uFFFD"), func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c)
	}), " ")
	return shorten(strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Bidi_Control, c) {
			return -1
		}
		return c
	}, text), limit)
}

// Sentence returns text with a capital at its beginning: errors have none.
func Sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// Whole returns text as a whole sentence: with a capital at its beginning, and a stop at its end unless it asks.
func Whole(text string) string {
	if text = Sentence(text); text == "" || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// shorten cuts text to limit characters, the last of which says that something is missing.
func shorten(text string, limit int) string {
	if len(text) <= limit || utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
