package template

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A place is where a template is in the markup. The zero place is in text.
type place struct {
	in      region
	element string // that the tag is of; in raw: whose text it is
	attr    string // in value
	begun   bool   // in value: something of it is written
}

type region int

const (
	inText  region = iota
	inTag          // between the name of an element and >
	inValue        // of an attribute, between double quotes
	inRaw          // in a style or script
)

// pass returns the place after a piece of markup. It refuses markup that it does not know.
func (p place) pass(markup string) (place, error) {
	for markup != "" {
		var err error
		switch p.in {
		case inText:
			p, markup, err = p.passText(markup)
		case inTag:
			p, markup, err = p.passTag(markup)
		case inValue:
			_, after, closed := strings.Cut(markup, `"`)
			p.begun, markup = true, after
			if closed {
				p = place{in: inTag, element: p.element}
			}
		case inRaw:
			_, after, closed := strings.Cut(markup, "</"+p.element+">")
			markup = after
			if closed {
				p = place{}
			}
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// passText goes to the next tag, and over its name.
func (p place) passText(markup string) (place, string, error) {
	_, tag, found := strings.Cut(markup, "<")
	if !found {
		return p, "", nil
	}
	if rest, ok := strings.CutPrefix(tag, "!doctype html>"); ok {
		return p, rest, nil
	}
	name := strings.TrimPrefix(tag, "/")
	end := strings.IndexFunc(name, func(c rune) bool { return !isLetter(c) })
	if end < 0 {
		end = len(name)
	}
	if end == 0 {
		return p, "", fmt.Errorf("the markup <%.20s is not known", tag)
	}
	element := name[:end]
	if len(name) < len(tag) {
		element = "/" + element
	}
	return place{in: inTag, element: element}, name[end:], nil
}

// passTag goes over the space before an attribute, an attribute and the quote of its value, or the end of the tag.
func (p place) passTag(markup string) (place, string, error) {
	switch rest := strings.TrimLeft(markup, " \n/"); {
	case rest == "":
		return p, "", nil
	case rest[0] == '>':
		if p.element == "style" || p.element == "script" {
			return place{in: inRaw, element: p.element}, rest[1:], nil
		}
		return place{}, rest[1:], nil
	default:
		end := strings.IndexFunc(rest, func(c rune) bool { return !isLetter(c) && c != '-' })
		if end < 0 {
			return p, "", errors.New("a tag ends within the name of an attribute")
		}
		if value, ok := strings.CutPrefix(rest[end:], `="`); ok && end > 0 {
			return place{in: inValue, element: p.element, attr: strings.ToLower(rest[:end])}, value, nil
		}
		if end == 0 || rest[end] == '=' {
			return p, "", fmt.Errorf("the markup %.20s is not known", rest)
		}
		return p, rest[end:], nil
	}
}

func isLetter(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// join returns the place after one of two ways, which must lead to the same.
func (p place) join(other place) (place, error) {
	begun := p.begun || other.begun
	p.begun, other.begun = begun, begun
	if p != other {
		return p, errors.New("its ways end in different places of the markup")
	}
	return p, nil
}

// The attributes that may have a value: of URLs, and of text that means nothing to a browser but what is shown. Those
// that begin with aria- or data- are text too.
var (
	urlAttributes  = []string{"action", "href", "src"}
	textAttributes = []string{"class", "datetime", "id", "max", "title", "value"}
)

// put returns what writes a value here, and the place after it.
func (p place) put() (func(dst []byte, v reflect.Value) ([]byte, error), place, error) {
	after := p
	after.begun = p.in == inValue
	switch {
	case p.in == inText:
		return putText, after, nil
	case p.in == inRaw && p.element == "style":
		return putCSS, after, nil
	case p.in == inValue && slices.Contains(urlAttributes, p.attr) && !p.begun:
		return putURL, after, nil
	case p.in == inValue && (slices.Contains(textAttributes, p.attr) ||
		strings.HasPrefix(p.attr, "aria-") || strings.HasPrefix(p.attr, "data-")):
		return putAttribute, after, nil
	}
	return nil, after, fmt.Errorf("no value can stand here: attribute %q of %q", p.attr, p.element)
}

func putText(dst []byte, v reflect.Value) ([]byte, error) {
	if v := indirect(v); v.IsValid() && v.Type() == reflect.TypeFor[HTML]() {
		return append(dst, v.String()...), nil
	}
	return putAttribute(dst, v)
}

func putAttribute(dst []byte, v reflect.Value) ([]byte, error) {
	text, err := textOf(v)
	return Escape(dst, text), err
}

func putCSS(dst []byte, v reflect.Value) ([]byte, error) {
	if v := indirect(v); v.IsValid() && v.Type() == reflect.TypeFor[CSS]() && !strings.Contains(v.String(), "<") {
		return append(dst, v.String()...), nil
	}
	return dst, errors.New("it is no CSS of our own")
}

// unsafeURL is what stands for a URL that could run a script, as html/template has it.
const unsafeURL = "#ZgotmplZ"

func putURL(dst []byte, v reflect.Value) ([]byte, error) {
	text, err := textOf(v)
	if scheme, _, ok := strings.Cut(text, ":"); ok && !strings.Contains(scheme, "/") {
		if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "mailto") {
			text = unsafeURL
		}
	}
	const hex = "0123456789abcdef"
	var url []byte
	for i := range len(text) {
		switch c := text[i]; {
		case isLetter(rune(c)), strings.IndexByte("-._~!#$&*+,/:;=?@[]", c) >= 0,
			c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			url = append(url, c)
		default:
			url = append(url, '%', hex[c>>4], hex[c&15])
		}
	}
	return Escape(dst, string(url)), err
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// Escape appends text to dst so that HTML shows it as it is, also between quotes.
func Escape(dst []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case 0:
			dst = append(dst, "\uFFFD"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		case '+':
			dst = append(dst, "&#43;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
