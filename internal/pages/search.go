package pages

import (
	"html"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/markdown"
	"github.com/loopkey/loopkey/internal/words"
)

const (
	before, after = 60, 160 // bytes of an excerpt around the first word that was sought
	maxWords      = 16      // that a search looks for
)

// A piece is a part of an excerpt.
type piece struct {
	Text string
	Hit  bool // it was sought
}

// find returns the entries that have every word, those first that have the words in their titles. Of a page that does
// not open for the claims, no more than that is searched: what is found tells what it says.
func find(entries []*entry, sought []string, opens func(*entry) bool) []*entry {
	var found []*entry
	for _, e := range entries {
		text := e.lower
		if !opens(e) {
			text = e.lower[:e.head]
		}
		if !slices.ContainsFunc(sought, func(word string) bool { return !strings.Contains(text, word) }) {
			found = append(found, e)
		}
	}
	lacking := make(map[*entry]int, len(found)) // how many of the words its title lacks
	for _, e := range found {
		for _, word := range sought {
			if !strings.Contains(e.lower[:e.head], word) {
				lacking[e]++
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int { return lacking[a] - lacking[b] })
	return found
}

// soughtWords returns the words of a search.
func soughtWords(query string) []string {
	all := strings.Fields(strings.ToLower(query))
	return all[:min(len(all), maxWords)]
}

// excerpt returns what of a file's text stands around the words. Where none of them is in it, it is the beginning.
func (s *Site) excerpt(e *entry, sought []string) []piece {
	text := words.Line(s.text(e), maxStart)
	lower := strings.ToLower(text)
	if len(lower) != len(text) { // then no place in one is that place in the other
		lower = ""
	}
	first := -1
	for _, word := range sought {
		if at := strings.Index(lower, word); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	begin, end := max(first-before, 0), min(max(first, 0)+after, len(text))
	if begin > 0 { // whole words
		begin += strings.IndexByte(text[begin:], ' ') + 1
		begin = min(begin, max(first, 0))
	}
	if end < len(text) {
		if space := strings.LastIndexByte(text[begin:end], ' '); space > 0 && begin+space > first {
			end = begin + space
		}
	}
	var pieces []piece
	add := func(from, to int, hit bool) {
		if from < to {
			pieces = append(pieces, piece{strings.ToValidUTF8(text[from:to], ""), hit})
		}
	}
	if begin > 0 {
		pieces = append(pieces, piece{Text: "… "})
	}
	at := begin
	for at < end && lower != "" {
		next, length := -1, 0
		for _, word := range sought {
			if i := strings.Index(lower[at:end], word); i >= 0 && (next < 0 || i < next || i == next && len(word) > length) {
				next, length = i, len(word)
			}
		}
		if next < 0 {
			break
		}
		add(at, at+next, false)
		add(at+next, at+next+length, true)
		at += next + length
	}
	add(at, end, false)
	if end < len(text) {
		pieces = append(pieces, piece{Text: " …"})
	}
	return pieces
}

// text returns the text of a file as its page shows it, without its title: as much as is searched.
func (s *Site) text(e *entry) string {
	switch {
	case isMarkdown(e.name) || isMarkdown(e.real):
		_, body, err := s.frontMatter(e.real)
		if err != nil {
			return ""
		}
		return shownText(body, e.title)
	case e.data:
		source, _, err := s.start(e.real)
		if err != nil {
			return ""
		}
		return strings.ToValidUTF8(string(source), "\uFFFD")
	}
	source, _, err := s.start(e.real)
	if err != nil {
		return ""
	}
	return htmlText(string(source))
}

// shownText returns the text of a Markdown file, but for a heading that is its title.
func shownText(body []byte, title string) string {
	var text strings.Builder
	root := markdown.Parse(string(body))
	if h := root.FirstChild; h != nil && h.Kind == markdown.Heading && words.Line(h.PlainText(), 200) == title {
		h.Unlink()
	}
	root.Walk(func(n *markdown.Node, entering bool) {
		switch n.Kind {
		case markdown.Text, markdown.Code, markdown.CodeBlock:
			text.WriteString(n.Text)
		case markdown.HTML, markdown.HTMLBlock:
			text.WriteString(markdown.WithoutComments(n.Text))
		case markdown.SoftBreak, markdown.HardBreak:
			text.WriteByte(' ')
		case markdown.Paragraph, markdown.Heading, markdown.Cell, markdown.Item:
			if !entering {
				text.WriteByte(' ')
			}
		}
	})
	return text.String()
}

// markdownText returns the text of a Markdown file in which words are sought: as it is written, without what its page
// does not show.
func markdownText(body []byte) string { return markdown.WithoutComments(string(body)) }

// htmlText returns the text of an HTML document: what is between its tags, without its scripts and styles.
func htmlText(source string) string {
	var text strings.Builder
	for {
		before, tag, found := strings.Cut(source, "<")
		text.WriteString(before)
		if !found {
			return html.UnescapeString(text.String())
		}
		text.WriteByte(' ')
		end := ">"
		switch lower := strings.ToLower(tag[:min(len(tag), len("script"))]); {
		case strings.HasPrefix(tag, "!--"):
			end = "-->"
		case lower == "script":
			end = "</script"
		case strings.HasPrefix(lower, "style"):
			end = "</style"
		case strings.HasPrefix(lower, "title"):
			end = "</title"
		}
		if _, source, found = strings.Cut(tag, end); !found {
			return html.UnescapeString(text.String())
		}
		if strings.HasPrefix(end, "</") {
			_, source, _ = strings.Cut(source, ">")
		}
	}
}
