package loopback

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
)

// browserCommands returns the commands of $BROWSER, of which the first that works opens the URL. They are separated as
// the paths of $PATH are, but not within quotes or at the "://" of a URL. A "&" at the end of one is left out, since no
// command is waited for.
func browserCommands(value, target string) ([][]string, error) {
	var commands [][]string
	var errs []error
	for _, text := range splitCommands(value, os.PathListSeparator) {
		if strings.TrimSpace(text) == "" {
			continue
		}
		command, err := browserCommand(text, target)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		commands = append(commands, command)
	}
	switch {
	case len(commands) > 0:
		return commands, nil
	case len(errs) > 0:
		return nil, errors.Join(errs...)
	}
	return nil, errors.New("it names no command")
}

// splitCommands splits a text at a separator, and takes a "&" from the end of each part.
func splitCommands(s string, separator rune) []string {
	var parts []string
	var quote rune
	escaped, start, ampersand := false, 0, -1 // where an unquoted & stands that nothing but white space follows
	cut := func(end, next int) {
		if ampersand >= 0 {
			end = ampersand
		}
		parts, start, ampersand = append(parts, s[start:end]), next, -1
	}
	for i, r := range s {
		plain := !escaped && quote == 0
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quote != '\'' && runtime.GOOS != "windows":
			escaped = true
		case quote != 0 && r == quote:
			quote = 0
		case plain && (r == '\'' || r == '"'):
			quote = r
		}
		switch {
		case plain && r == separator && !strings.HasPrefix(s[i:], "://"):
			cut(i, i+1)
		case plain && r == '&':
			ampersand = i
		case r != ' ' && r != '\t' && r != '\n':
			ampersand = -1
		}
	}
	cut(len(s), len(s))
	return parts
}

// runsShell reports whether Windows has a shell run a program, or the program is one. It would take the "&" and "%" of
// a URL for its own syntax, and run parts of what a provider wrote.
func runsShell(path string) bool {
	name := strings.ToLower(path[strings.LastIndexAny(path, `/\`)+1:])
	return strings.HasSuffix(name, ".bat") || strings.HasSuffix(name, ".cmd") ||
		slices.Contains([]string{"cmd.exe", "powershell.exe", "pwsh.exe"}, name)
}

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
