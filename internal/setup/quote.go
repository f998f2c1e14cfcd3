package setup

import (
	"encoding/json"
	"strings"
)

// doubleQuoted returns words for formats that know double quotes alone, and only around words that need them.
func doubleQuoted(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		if strings.ContainsAny(word, " \t") {
			word = `"` + word + `"`
		}
		quoted[i] = word
	}
	return strings.Join(quoted, " ")
}

// text returns a string as JSON has it, which TOML and HCL read too.
func text(s string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string can always be encoded
	return strings.TrimSuffix(b.String(), "\n")
}

// list returns strings as JSON and TOML have a list of them.
func list(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = text(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
