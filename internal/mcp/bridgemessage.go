package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/loopkey/loopkey/internal/words"
)

// A kind is what a JSON-RPC message is.
type kind int

const (
	request kind = iota
	notification
	response
)

// A message is one JSON-RPC message. The bridge passes it on as it came, and reads what the transport needs.
type message struct {
	raw    []byte
	kind   kind
	id     json.RawMessage // of a request or a response; nil if a response has none
	key    string          // id in one form, however it was written; "" without an id
	method string

	fields map[string]json.RawMessage
}

// The codes of the errors that the bridge itself sends. They lie in the range that JSON-RPC leaves to servers, and MCP
// to implementations (-32000 to -32019), away from those that SDKs use for themselves (-32000 to -32002).
const (
	codeUnreachable  = -32010 // the server can't be reached
	codeUnauthorized = -32011 // there is no access token that the server takes
	codeStatus       = -32012 // the server refused the request without a JSON-RPC error
	codeInterrupted  = -32013 // the response was lost
	codeTooLong      = -32014 // the request or the response is too long
	codeUnreadable   = -32015 // the response is none
	codeSession      = -32016 // the session was lost
	codeTooMany      = -32017 // too many requests at once

	codeParse   = -32700 // JSON-RPC: not JSON
	codeInvalid = -32600 // JSON-RPC: no request
)

// A rpcError is an error with its JSON-RPC code.
type rpcError struct {
	code int
	text string
	err  error
}

func (e *rpcError) Error() string { return e.text }
func (e *rpcError) Unwrap() error { return e.err }

func failure(code int, format string, args ...any) *rpcError {
	err := fmt.Errorf(format, args...)
	return &rpcError{code, err.Error(), err}
}

// parseLine reads a line of the host, or a body or an event of the server: one message, or a batch (2025-03-26). wrong
// has an error for each part that is no message.
func parseLine(text []byte) (all []*message, wrong []error) {
	text = bytes.TrimSpace(text)
	parts := []json.RawMessage{text}
	if len(text) > 0 && text[0] == '[' {
		switch {
		case json.Unmarshal(text, &parts) != nil:
			return nil, []error{failure(codeParse, "not JSON")}
		case len(parts) == 0:
			return nil, []error{failure(codeInvalid, "an empty batch")}
		}
	}
	for _, part := range parts {
		if m, err := parseMessage(part); err != nil {
			wrong = append(wrong, err)
		} else {
			all = append(all, m)
		}
	}
	return all, wrong
}

func parseMessage(text []byte) (*message, error) {
	m := &message{raw: oneLine(text)}
	if err := json.Unmarshal(m.raw, &m.fields); err != nil {
		if json.Valid(m.raw) {
			return nil, failure(codeInvalid, "not a JSON-RPC message")
		}
		return nil, failure(codeParse, "not JSON")
	}
	id, hasID := m.fields["id"]
	if hasID && string(id) != "null" {
		if m.key = idKey(id); m.key == "" {
			return nil, failure(codeInvalid, "the ID of the message is neither a string nor a number")
		}
		m.id = id
	}
	method, hasMethod := m.fields["method"]
	_, hasResult := m.fields["result"]
	_, hasError := m.fields["error"]
	switch {
	case hasMethod && json.Unmarshal(method, &m.method) != nil:
		return nil, failure(codeInvalid, "the method of the message is no string")
	case hasMethod && hasID && m.key == "":
		return nil, failure(codeInvalid, "the request has no ID")
	case hasMethod && hasID:
		m.kind = request
	case hasMethod:
		m.kind = notification
	case hasResult || hasError:
		m.kind = response
	default:
		return nil, failure(codeInvalid, "neither a request, a notification nor a response")
	}
	return m, nil
}

// oneLine returns JSON without line ends. It stands on one line then, for JSON has them only between its tokens. What
// is not UTF-8 is replaced, for many readers fail on it.
func oneLine(text []byte) []byte {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\uFEFF")))
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	if bytes.ContainsAny(text, "\r\n") {
		text = bytes.Map(func(c rune) rune {
			if c == '\r' || c == '\n' {
				return ' '
			}
			return c
		}, text)
	}
	return text
}

// idKey returns an ID in a form that is the same however the ID was written, or "" if it is neither a string nor a
// number.
func idKey(id json.RawMessage) string {
	var value any
	if json.Unmarshal(id, &value) != nil {
		return ""
	}
	switch value := value.(type) {
	case string:
		return "string " + value
	case float64:
		if digits := string(id); !strings.ContainsAny(digits, ".eE") && digits != "-0" {
			return "number " + digits
		}
		if value == math.Trunc(value) && math.Abs(value) < 1<<53 {
			return "number " + strconv.FormatInt(int64(value), 10)
		}
		return "number " + strconv.FormatFloat(value, 'g', -1, 64)
	}
	return ""
}

// member returns a member of an object; nil if there is none.
func member(object json.RawMessage, name string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return nil
	}
	return fields[name]
}

// text returns a member that is a string; "" if there is none.
func text(object json.RawMessage, name string) string {
	var value string
	if json.Unmarshal(member(object, name), &value) != nil {
		return ""
	}
	return value
}

// isError reports whether an error is the object that JSON-RPC wants.
func isError(raw json.RawMessage) bool {
	var e struct {
		Code    *int    `json:"code"`
		Message *string `json:"message"`
	}
	return json.Unmarshal(raw, &e) == nil && e.Code != nil && e.Message != nil
}

// errorCode returns the code of a response that is an error, else 0.
func (m *message) errorCode() int {
	var e struct {
		Code int `json:"code"`
	}
	if m.kind != response || json.Unmarshal(m.fields["error"], &e) != nil {
		return 0
	}
	return e.Code
}

// errorResponse returns a response that says why there is no other. A nil id becomes null.
func errorResponse(id json.RawMessage, err error) []byte {
	code := codeUnreachable
	if e := new(rpcError); errors.As(err, &e) {
		code = e.code
	}
	var problem struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	problem.Code, problem.Message = code, words.Printable(err.Error())
	raw, _ := json.Marshal(problem) //nolint:errchkjson // an integer and a string
	return errorWith(id, raw)
}

// errorWith returns a response with an error that is there in JSON.
func errorWith(id, problem json.RawMessage) []byte {
	if id == nil {
		id = json.RawMessage("null")
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":%s}`, id, oneLine(problem))
}
