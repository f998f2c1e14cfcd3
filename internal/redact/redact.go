// Package redact writes a log that holds no secret, whoever writes to it: what looks like a token, a code or a key is
// left out of every message and every value, and so are the secrets that are known.
package redact

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/loopkey/loopkey/internal/words"
)

// left stands in place of what is left out.
const left = "[secret]"

// longest is how long a word of letters and digits may be: all secrets of OAuth are longer, also after they were cut.
const longest = 20

// New returns a handler that writes a line for each record: how long ago the program began, the message, its values.
// known are secrets that may look like words.
func New(w io.Writer, began time.Time, known []string) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 {
				switch a.Key {
				case slog.TimeKey:
					return slog.Duration("after", a.Value.Time().Sub(began).Round(time.Millisecond))
				case slog.LevelKey:
					return slog.Attr{}
				}
			}
			a.Key = Text(a.Key, known)
			switch a.Value.Kind() {
			case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindTime, slog.KindUint64:
				return a
			}
			return slog.String(a.Key, Text(shown(a.Value), known))
		},
	})
}

// shown returns a value as text. What has no text of its own may hold a secret in a form that nobody finds, such as the
// numbers of its bytes: of that only the type is shown.
func shown(v slog.Value) string {
	if v.Kind() == slog.KindString {
		return v.String()
	}
	switch of := v.Any().(type) {
	case error:
		return of.Error()
	case fmt.Stringer:
		return of.String()
	case []string:
		return strings.Join(of, ", ")
	default:
		return fmt.Sprintf("(%T)", of)
	}
}

// Text returns text without secrets, and printable.
func Text(text string, known []string) string {
	for _, secret := range known {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, left)
		}
	}
	var out strings.Builder
	for text != "" {
		end := until(text, func(r rune) bool { return !inWord(r) })
		if strings.HasPrefix(text, "eyJ") { // a JWT: its parts are joined by dots
			end = until(text, func(r rune) bool { return r != '.' && !inWord(r) })
		}
		if end == 0 {
			end = until(text, inWord)
			out.WriteString(text[:end])
		} else {
			out.WriteString(word(text[:end]))
		}
		text = text[end:]
	}
	return words.Printable(out.String())
}

// until returns where the first rune is that ends a part of text.
func until(text string, ends func(rune) bool) int {
	if end := strings.IndexFunc(text, ends); end >= 0 {
		return end
	}
	return len(text)
}

// inWord reports whether r may be in a secret: the characters of base64, base64url, hex and base32 but for the slash,
// which paths have too, and what percent-encodes them.
func inWord(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_+%~=", r))
}

// word returns a word, or what stands in its place where it may be a secret: one with digits, or of both cases, or that
// begins as a JWT does.
func word(w string) string {
	upper, lower := strings.IndexFunc(w, unicode.IsUpper) > 0, strings.IndexFunc(w, unicode.IsLower) >= 0
	digits := strings.IndexFunc(w, unicode.IsDigit) >= 0
	if strings.HasPrefix(w, "eyJ") || len(w) > longest && (digits || upper && lower) {
		return left
	}
	return w
}
