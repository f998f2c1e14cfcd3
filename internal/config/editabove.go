package config

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"
)

// EditAbove is Edit for a key that stands above the profiles.
func EditAbove(content []byte, change Assignment) ([]byte, error) {
	s := settingAbove(change.Key)
	if s == nil {
		return nil, fmt.Errorf("%w: %q is no key of config.toml", ErrInvalid, change.Key)
	}
	before, err := parseFile(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	literal, err := change.literalOf(s, fromFile)
	if err != nil {
		return nil, err
	}
	text, err := assignAbove(content, change.Key, literal)
	if err != nil {
		return nil, err
	}
	wanted := maps.Clone(before.above)
	switch delete(wanted, change.Key); {
	case change.Value == "":
	case s.isBool:
		wanted[change.Key] = change.Value == "true"
	default:
		wanted[change.Key] = change.Value
	}
	after, err := parseFile(text)
	if err != nil || !reflect.DeepEqual(after.above, wanted) || !reflect.DeepEqual(after.profiles, before.profiles) {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, ErrByHand)
	}
	return text, nil
}

// assignAbove returns the text with a key above all tables set to a literal, or taken out ("").
func assignAbove(text []byte, key, literal string) ([]byte, error) {
	skipped := len(text) - len(bytes.TrimPrefix(text, byteOrderMark))
	newline := endOfLine(text)
	last := -1 // where the last key above the tables ends
	var p unstable.Parser
	p.Reset(text[skipped:])
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			break
		}
		if e.Kind != unstable.KeyValue {
			continue
		}
		keys, end, _ := path(e.Key())
		start := skipped + int(e.Raw.Offset)
		last = start + int(e.Raw.Length)
		if !slices.Equal(keys, []string{key}) {
			continue
		}
		if literal == "" {
			return cutLines(text, start, last), nil
		}
		from, to := valueAt(text, e.Value(), skipped, skipped+end, last)
		if to == 0 {
			return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, key, ErrByHand)
		}
		return splice(text, from, to, literal), nil
	}
	line := key + " = " + literal + newline
	switch {
	case literal == "":
		return text, nil
	case last >= 0:
		return insert(text, last, line, newline), nil
	}
	at := heading(text, skipped)
	if at < len(text) {
		line += newline
	}
	if at > skipped && text[at-1] != '\n' {
		line = newline + line
	}
	return splice(text, at, at, line), nil
}

// heading returns where the comment at the head of the text ends that an empty line sets apart from the rest. Where
// there is no such comment, that is where the text begins.
func heading(text []byte, begin int) int {
	for at := begin; at < len(text); {
		end := lineEnd(text, at)
		line := bytes.TrimSpace(text[at:end])
		switch {
		case len(line) == 0 && at > begin:
			return end
		case len(line) == 0 || line[0] != '#':
			return begin
		case end == len(text):
			return end
		}
		at = end
	}
	return begin
}
