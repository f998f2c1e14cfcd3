package private

import (
	"strings"
	"unicode/utf8"
)

// IsSessionName reports whether a name, of a profile or a program, can be part of a session's name: in a keychain, and
// as a file on every system. It is [A-Za-z0-9][A-Za-z0-9._-]{0,63}, and no device of Windows.
func IsSessionName(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return name != "" && len(name) <= 64 && !IsDevice(name)
}

// IsDevice reports whether Windows takes the name of a file for one of its devices, such as NUL or COM1, whatever the
// folder and the extension. The rule holds on every system, for a folder may be carried from one to another.
func IsDevice(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		number, ok := strings.CutPrefix(stem, port)
		if ok && utf8.RuneCountInString(number) == 1 && strings.ContainsAny(number, "0123456789¹²³") {
			return true
		}
	}
	return false
}
