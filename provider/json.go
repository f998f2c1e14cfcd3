package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
)

var errNoObject = errors.New("not one JSON object")

// document decodes a JSON object into a struct whose names are all in lower case. In JSON "Token_Endpoint" is another
// name than "token_endpoint" (RFC 8259, section 8.3), but encoding/json takes the one for the other, so the names
// that are not in lower-case ASCII are dropped first.
func document(body []byte, into any) error {
	var members map[string]json.RawMessage
	if err := object(body, &members); err != nil {
		return err
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool {
		return strings.ContainsFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' || r > '~' })
	})
	exact, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return json.Unmarshal(exact, into)
}

// object decodes a JSON object with nothing after it, keeping numbers as they are written.
func object(body []byte, into any) error {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff"))) // a byte order mark: RFC 8259, section 8.1
	if len(body) == 0 || body[0] != '{' {                            // null and lists can be decoded without an error too
		return errNoObject
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errNoObject
	}
	return nil
}
