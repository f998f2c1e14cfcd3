package cli

import (
	"strings"
	"unicode/utf8"

	"github.com/loopkey/loopkey/internal/terminal"
)

// foldFor folds a text for the window of the terminal behind a stream. Where there is none, lines stay as they are.
func foldFor(stream any, text string) string {
	if width := terminal.Width(stream); width >= helpWidth/2 {
		return fold(text, width)
	}
	return text
}

// fold breaks the lines of a text that are longer than a window, between words: a terminal breaks them within one. What
// is to be copied stays whole: a line that begins with a space, and a command with its flags. So does a line with a
// link, of which nobody knows the width.
func fold(text string, width int) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if utf8.RuneCountInString(line) <= width || strings.HasPrefix(line, " ") || strings.Contains(line, "\x1b") {
			lines = append(lines, line)
			continue
		}
		folded := ""
		for _, piece := range pieces(line) {
			switch {
			case folded == "":
				folded = piece
			case utf8.RuneCountInString(folded+" "+piece) <= width:
				folded += " " + piece
			default:
				lines, folded = append(lines, folded), piece
			}
		}
		lines = append(lines, folded)
	}
	return strings.Join(lines, "\n")
}

// pieces returns the words of a line. A command is one piece: from the word loopkey or chmod to the last of its
// arguments, which prose follows after a comma, or with one of a few words.
func pieces(line string) []string {
	var all []string
	within := false // a command
	for word := range strings.SplitSeq(line, " ") {
		begins := strings.Trim(word, "`") == "loopkey" || word == "chmod"
		switch {
		case within && !isAfter(word):
			all[len(all)-1] += " " + word
		default:
			all = append(all, word)
			within = begins
		}
		if within && strings.ContainsAny(word[max(0, len(word)-1):], ",;:?)`.") {
			within = false
		}
	}
	return all
}

// isAfter reports whether a word is one of those that go on after a command in a sentence.
func isAfter(word string) bool {
	switch strings.TrimRight(word, ".,;:") {
	case "again", "for", "in", "to", "or", "and", "which", "that", "shows", "ends", "makes", "with", "as", "instead", "is":
		return true
	}
	return false
}
