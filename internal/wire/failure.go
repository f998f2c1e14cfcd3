package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"github.com/loopkey/loopkey/internal/words"
)

// A Failure is an error on its way to another process, or to a file that another process reads. Its zero value stands
// for no error.
type Failure struct {
	Text  string                     `json:"error,omitempty"`
	Kinds []string                   `json:"kinds,omitempty"`
	Parts map[string]json.RawMessage `json:"parts,omitempty"` // what Part took from the error, by the name of its kind
}

// Kinds are the errors that keep their meaning on the way. Both ends must have the same. All other errors arrive as
// their text.
type Kinds []Kind

// A Kind is made by Sentinel or Part. Its name is what travels, so it must not change.
type Kind struct {
	name string
	is   error // of a Sentinel; else nil
	// Of a Part; else nil.
	find    func(error) (json.RawMessage, bool)
	restore func(json.RawMessage) error // nil if it can't be read
}

// Sentinel is for an error that errors.Is must find again.
func Sentinel(name string, is error) Kind { return Kind{name: name, is: is} }

// Part is for an error that errors.As must find again. find takes from an error what travels as JSON, and restore makes
// an error of it on the other side.
func Part[P any](name string, find func(error) (P, bool), restore func(P) error) Kind {
	return Kind{
		name: name,
		find: func(err error) (json.RawMessage, bool) {
			part, ok := find(err)
			if !ok {
				return nil, false
			}
			data, err := json.Marshal(part)
			return data, err == nil
		},
		restore: func(data json.RawMessage) error {
			var part P
			if json.Unmarshal(data, &part) != nil {
				return nil
			}
			return restore(part)
		},
	}
}

// As is a Part for an error whose exported fields are JSON.
func As[E error](name string) Kind {
	find := func(err error) (e E, ok bool) {
		ok = errors.As(err, &e)
		return e, ok
	}
	return Part(name, find, func(e E) error { return e })
}

// Failure returns err as it travels.
func (k Kinds) Failure(err error) Failure {
	if err == nil {
		return Failure{}
	}
	f := Failure{Text: cmp.Or(err.Error(), "an error without a text")}
	for _, kind := range k {
		if kind.find == nil {
			if errors.Is(err, kind.is) {
				f.Kinds = append(f.Kinds, kind.name)
			}
		} else if part, ok := kind.find(err); ok {
			if f.Parts == nil {
				f.Parts = map[string]json.RawMessage{}
			}
			f.Parts[kind.name] = part
		}
	}
	return f
}

// Failed returns the header of a message that reports err.
func (k Kinds) Failed(err error) Header { return Header{Failure: k.Failure(err)} }

// Err returns the error that f was made of, or nil. errors.Is and errors.As find in it what k holds. Its texts are
// printable.
func (k Kinds) Err(f Failure) error {
	if f.Text == "" {
		return nil
	}
	e := &failed{text: words.Printable(f.Text)}
	for _, kind := range k {
		if kind.restore == nil {
			if slices.Contains(f.Kinds, kind.name) {
				e.wraps = append(e.wraps, kind.is)
			}
		} else if part, ok := f.Parts[kind.name]; ok {
			if err := kind.restore(printable(part)); err != nil {
				e.wraps = append(e.wraps, err)
			}
		}
	}
	return e
}

// A failed is an error of another process.
type failed struct {
	text  string
	wraps []error
}

func (e *failed) Error() string { return e.text }

func (e *failed) Unwrap() []error { return e.wraps }

// printable returns a JSON value with every text in it made printable; what can't be read becomes nil.
func printable(data json.RawMessage) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a duration has more digits than a float64
	var value any
	if decoder.Decode(&value) != nil {
		return nil
	}
	clean, err := json.Marshal(clean(value))
	if err != nil {
		return nil
	}
	return clean
}

func clean(value any) any {
	switch v := value.(type) {
	case string:
		return words.Printable(v)
	case []any:
		for i := range v {
			v[i] = clean(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = clean(v[key])
		}
	}
	return value
}
