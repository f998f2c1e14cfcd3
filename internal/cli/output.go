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

// answer prints what was asked for, the only thing that loopkey prints on stdout.
func (a *app) answer(output, token string, asJSON any) error {
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
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// escaped writes what could steer a terminal as JSON's \u escapes, which mean the same:
// such characters can only be inside strings, and JSON itself asks for fewer (RFC 8259, section 7).
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

// utc is how times are printed: RFC 3339 in UTC, to the second; nil where there is none.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
