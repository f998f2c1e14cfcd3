package words

import (
	"errors"
	"fmt"
	"strings"
)

// Shells returns the names of the shells that Assign knows.
func Shells() []string { return []string{"sh", "fish", "powershell", "cmd"} }

// ErrUnquotable says that a shell can't be told a value.
var ErrUnquotable = errors.New("the value holds a character that this shell can't be told")

// Assign returns the line by which a shell sets a variable of the environment. sh stands for every shell that reads as
// POSIX says. The name must be one of IsVariable.
func Assign(shell, name, value string) (string, error) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", ErrUnquotable
	}
	switch shell {
	case "fish":
		return "set -gx " + name + " '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'", nil
	case "powershell": // each of its four quotes ends a text, and is one quote when it is doubled
		return "$env:" + name + " = '" + strings.NewReplacer(
			"'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019", "\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b",
		).Replace(value) + "'", nil
	case "cmd":
		if strings.ContainsAny(value, `"%!^&|<>`) {
			return "", ErrUnquotable
		}
		return `set "` + name + "=" + value + `"`, nil
	case "sh":
		return "export " + name + "=" + shellWord(value), nil
	}
	return "", fmt.Errorf("there is no shell %q", shell)
}

// Unassign returns the line by which a shell of Shells takes a variable out of the environment.
func Unassign(shell, name string) string {
	switch shell {
	case "fish":
		return "set -e " + name
	case "powershell":
		return "Remove-Item -ErrorAction SilentlyContinue Env:" + name
	case "cmd":
		return `set "` + name + `="`
	}
	return "unset " + name
}

// IsVariable reports whether a name is that of a variable which every shell can set.
func IsVariable(name string) bool {
	isLetter := func(r rune) bool { return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	for i, r := range name {
		if !isLetter(r) && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
