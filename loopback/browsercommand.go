package loopback

import (
	"errors"
	"runtime"
	"strings"
)

// browserCommand returns the command of $BROWSER with its arguments. Its value is split into words as a shell splits
// them, and no shell runs. The URL takes the place of each %s, or is the last argument if there is none.
func browserCommand(command, target string) ([]string, error) {
	words, err := splitWords(command)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("it names no command")
	}
	replaced := false
	for i, word := range words[1:] {
		if strings.Contains(word, "%s") {
			words[i+1] = strings.ReplaceAll(word, "%s", target)
			replaced = true
		}
	}
	if !replaced {
		words = append(words, target)
	}
	return words, nil
}

// splitWords splits a text at white space. Of a shell's syntax it knows quotes and backslashes; on Windows a backslash
// is a part of a path.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' && r != '$' && r != '`' {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'' && runtime.GOOS != "windows":
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
