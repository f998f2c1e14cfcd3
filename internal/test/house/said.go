package house

import (
	"slices"
	"strings"
)

// Doubled returns what an error on stderr says twice: a cause, or the word for a kind of error before another such
// word. It returns "" where all is said once.
func Doubled(stderr string) string {
	for line := range strings.SplitSeq(stderr, "\n") {
		text, ok := strings.CutPrefix(line, "loopkey: ")
		if !ok {
			continue
		}
		parts := strings.Split(text, ": ")
		for i, part := range parts {
			if len(part) > 3 && slices.Contains(parts[i+1:], part) {
				return part
			}
		}
		if len(parts) > 1 && isKind(parts[0]) && isKind(parts[1]) {
			return parts[0] + ": " + parts[1]
		}
	}
	return ""
}

// isKind reports whether a part of an error is the word for a kind of errors.
func isKind(part string) bool { return part == "usage" || part == "configuration" || part == "loopkey" }
