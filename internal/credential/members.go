package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonObject returns the members of a JSON object. Names are compared as they are written. A name that comes twice is
// refused: programs differ in which of the two they take.
func jsonObject(data []byte) (map[string]json.RawMessage, error) {
	refuse := func(why string) (map[string]json.RawMessage, error) {
		return nil, fmt.Errorf("%w: %s", ErrInput, why)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if opening, err := d.Token(); err != nil || opening != json.Delim('{') {
		return refuse("it is no JSON object")
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		key, isText := name.(string)
		var value json.RawMessage
		if err != nil || !isText || d.Decode(&value) != nil {
			return refuse("its JSON is damaged")
		}
		if _, twice := members[key]; twice {
			return refuse("a member of its JSON comes twice")
		}
		members[key] = value
	}
	if _, err := d.Token(); err != nil {
		return refuse("its JSON is damaged")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse("something follows its JSON")
	}
	return members, nil
}

// text returns a member that is text.
func text(value json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(value, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}
