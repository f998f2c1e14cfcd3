package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// print prints a token, or what asJSON holds, in the form that --output names. Nothing else goes to stdout.
func (a *app) print(output, token string, asJSON any) error {
	var err error
	switch output {
	case "json":
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err = encoder.Encode(asJSON); err == nil {
			_, err = a.stdout.Write(escaped(text.Bytes()))
		}
	case "header":
		_, err = fmt.Fprintf(a.stdout, "Authorization: Bearer %s\n", token)
	default:
		_, err = fmt.Fprintln(a.stdout, token)
	}
	if err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

// escaped returns JSON with every character that could steer a terminal as a \u escape, which means the same. Such
// characters are only in strings; JSON itself asks for fewer escapes (RFC 8259, section 7).
func escaped(text []byte) []byte {
	safe := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r == '\n' || unicode.IsPrint(r) {
			safe = utf8.AppendRune(safe, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			safe = fmt.Appendf(safe, `\u%04x`, unit)
		}
	}
	return safe
}

// utc returns a time for JSON: in UTC, to the second, and nil for the zero time.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
