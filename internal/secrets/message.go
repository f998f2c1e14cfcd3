package secrets

import (
	"encoding/binary"
	"errors"
	"strings"
)

// Types of messages (D-Bus specification, "Message Format").
const (
	methodCall   = 1
	methodReturn = 2
	errorReply   = 3
)

// Codes of the fields in a message's header.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

// Limits of what is read, in bytes.
const (
	fixedHeader = 16
	mostFields  = 64 << 10
	mostBody    = 9 << 20 // the largest record of a keystore is 8 MiB
)

var errMessage = errors.New("the D-Bus session sent what is no message")

// An encoder appends values in the order of little-endian machines. Values are aligned relative to the beginning.
type encoder struct{ b []byte }

func (e *encoder) align(n int) {
	for len(e.b)%n != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) uint32(v uint32) {
	e.align(4)
	e.b = binary.LittleEndian.AppendUint32(e.b, v)
}

// text appends a string or an object path.
func (e *encoder) text(s string) {
	e.uint32(uint32(len(s))) //nolint:gosec // what is sent is shorter than mostBody
	e.b = append(append(e.b, s...), 0)
}

func (e *encoder) signature(s string) {
	e.b = append(append(append(e.b, byte(len(s))), s...), 0) //nolint:gosec // ours have a few characters
}

func (e *encoder) bytes(s string) {
	e.uint32(uint32(len(s))) //nolint:gosec // what is sent is shorter than mostBody
	e.b = append(e.b, s...)
}

// array appends an array whose elements are aligned to n bytes.
func (e *encoder) array(n int, elements func()) {
	e.uint32(0)
	length := len(e.b) - 4
	e.align(n)
	start := len(e.b)
	elements()
	binary.LittleEndian.PutUint32(e.b[length:], uint32(len(e.b)-start)) //nolint:gosec // shorter than mostBody
}

// A call is a method call: its body has the types in signature.
type call struct {
	destination, path, face, member, signature string
	body                                       []byte
}

// encode appends the call as a message.
func (c call) encode(to []byte, serial uint32) []byte {
	var e encoder
	e.b = append(e.b, 'l', methodCall, 0, 1)
	e.uint32(uint32(len(c.body))) //nolint:gosec // shorter than mostBody
	e.uint32(serial)
	e.array(8, func() {
		field := func(code byte, kind, value string) {
			e.align(8)
			e.b = append(e.b, code)
			e.signature(kind)
			if kind == "g" {
				e.signature(value)
			} else {
				e.text(value)
			}
		}
		field(fieldPath, "o", c.path)
		field(fieldInterface, "s", c.face)
		field(fieldMember, "s", c.member)
		field(fieldDestination, "s", c.destination)
		if c.signature != "" {
			field(fieldSignature, "g", c.signature)
		}
	})
	e.align(8)
	return append(append(to, e.b...), c.body...)
}

// A decoder takes values from data, which another program wrote. After the first value that does not fit, failed is set
// and all further values are empty. A decoder never reads beyond data, and makes no copy whose size data only claims.
type decoder struct {
	order  binary.ByteOrder
	data   []byte
	at     int
	failed bool
}

// take returns the next n bytes.
func (d *decoder) take(n int) []byte {
	if d.failed || n < 0 || n > len(d.data)-d.at {
		d.failed = true
		return nil
	}
	d.at += n
	return d.data[d.at-n : d.at]
}

func (d *decoder) align(n int) { d.take((n - d.at%n) % n) }

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	d.align(4)
	if b := d.take(4); b != nil {
		return d.order.Uint32(b)
	}
	return 0
}

// length returns the length of what follows.
func (d *decoder) length() int {
	n := int64(d.uint32())
	if n > int64(len(d.data)-d.at) {
		d.failed = true
		return 0
	}
	return int(n)
}

// ended takes a text of n bytes and the zero byte after it.
func (d *decoder) ended(n int) string {
	s := d.take(n)
	if d.byte() != 0 {
		d.failed = true
	}
	if d.failed {
		return ""
	}
	return string(s)
}

// text takes a string or an object path.
func (d *decoder) text() string { return d.ended(d.length()) }

func (d *decoder) signature() string { return d.ended(int(d.byte())) }

// bytes takes an array of bytes, which stays a part of data.
func (d *decoder) bytes() []byte { return d.take(d.length()) }

// array calls element until the array, whose elements are aligned to n bytes, ends.
func (d *decoder) array(n int, element func()) {
	size := d.length()
	d.align(n)
	end := d.at + size
	for !d.failed && d.at < end {
		element()
	}
	if d.at != end {
		d.failed = true
	}
}

// texts takes an array of strings or object paths.
func (d *decoder) texts() (all []string) {
	d.array(4, func() { all = append(all, d.text()) })
	return all
}

// skip takes a value of a header field that this package does not need.
func (d *decoder) skip(kind string) {
	switch kind {
	case "s", "o":
		d.text()
	case "g":
		d.signature()
	case "u", "i", "b", "h":
		d.uint32()
	case "y":
		d.byte()
	default:
		d.failed = true
	}
}

// A message is one that the D-Bus session sent.
type message struct {
	kind      byte
	replyTo   uint32 // the serial of the call
	errorName string
	signature string
	body      decoder
}

// sizes returns how many bytes follow the fixed part of a message: its fields with their padding, and its body.
func sizes(fixed []byte) (fields, body int, err error) {
	order, ok := orderOf(fixed[0])
	if !ok || fixed[3] != 1 {
		return 0, 0, errMessage
	}
	b, f := order.Uint32(fixed[4:]), order.Uint32(fixed[12:])
	if f > mostFields || b > mostBody {
		return 0, 0, errMessage
	}
	return int(f+7) &^ 7, int(b), nil
}

func orderOf(mark byte) (binary.ByteOrder, bool) {
	switch mark {
	case 'l':
		return binary.LittleEndian, true
	case 'B':
		return binary.BigEndian, true
	}
	return nil, false
}

// decodeMessage decodes a whole message, whose sizes were checked.
func decodeMessage(data []byte) (message, error) {
	fields, body, err := sizes(data[:fixedHeader])
	if err != nil || len(data) != fixedHeader+fields+body {
		return message{}, errMessage
	}
	order, _ := orderOf(data[0])
	m := message{kind: data[1]}
	d := decoder{order: order, data: data[:fixedHeader+fields], at: fixedHeader - 4}
	d.array(8, func() {
		d.align(8)
		code, kind := d.byte(), d.signature()
		switch {
		case code == fieldErrorName && kind == "s":
			m.errorName = d.text()
		case code == fieldReplySerial && kind == "u":
			m.replyTo = d.uint32()
		case code == fieldSignature && kind == "g":
			m.signature = d.signature()
		default:
			d.skip(kind)
		}
	})
	isReply := m.kind == methodReturn || m.kind == errorReply
	if d.failed || isReply && m.replyTo == 0 || m.kind == errorReply && m.errorName == "" {
		return message{}, errMessage
	}
	m.body = decoder{order: order, data: data[fixedHeader+fields:]}
	return m, nil
}

// An Error is an error that the D-Bus session or the Secret Service replied with.
type Error struct{ Name string }

func (e *Error) Error() string { return "D-Bus error " + e.Name }

// result returns the body of a reply that must have the types in signature.
func (m *message) result(signature string) (*decoder, error) {
	switch {
	case m.kind == errorReply:
		return nil, &Error{strings.ToValidUTF8(m.errorName, "?")}
	case m.signature != signature:
		return nil, errMessage
	}
	return &m.body, nil
}
