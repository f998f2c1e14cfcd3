// Package wire is how two loopkey processes of one user talk: one line of JSON for each message, with a version and,
// where something went wrong, the error.
//
//	type reply struct {
//		wire.Header
//		URL string `json:"url,omitempty"`
//	}
//
//	err := wire.Write(conn, &reply{Header: kinds.Failed(err)}) // there
//
//	lines := wire.NewReader(conn, 64<<10) // and here
//	var r reply
//	if err := lines.Read(&r); err != nil {
//		return err
//	}
//	return kinds.Err(r.Failure)
//
// Whatever comes in is foreign: its length is bounded, its texts are made printable, and no error of this package
// quotes it, for it may hold a secret.
package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Version is the version of all messages. Both ends must have the same. It grows with every change to a message that
// the other end must not overlook: version 2 has the whole request of a login in the hand-off, version 3 what the
// authentication has to be.
const Version = 3

var (
	// ErrUnreadable says that a message is no line of JSON, or not of the expected type, or too long.
	ErrUnreadable = errors.New("the message can't be read")
	// ErrVersion says that a message was written by another version of loopkey.
	ErrVersion = errors.New("the message was written by another version of loopkey")
)

// A Header is part of every message.
type Header struct {
	// Version is set by Marshal and checked by Unmarshal. A message without a version is one of another version: loopkey
	// wrote such messages before it had versions.
	Version int `json:"v"`
	Failure
}

func (h *Header) header() *Header { return h }

// A Message is a pointer to a struct that embeds Header.
type Message interface{ header() *Header }

// Marshal returns a message as a line.
func Marshal(m Message) ([]byte, error) {
	m.header().Version = Version
	line, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("writing a message: %w", err)
	}
	return append(line, '\n'), nil
}

// Unmarshal reads a message that Marshal wrote. Its errors are ErrUnreadable and ErrVersion.
func Unmarshal(line []byte, m Message) error {
	var version struct {
		Version int `json:"v"`
	}
	if json.Unmarshal(line, &version) != nil {
		return ErrUnreadable
	}
	if version.Version != Version {
		return ErrVersion
	}
	if json.Unmarshal(line, m) != nil {
		return ErrUnreadable
	}
	return nil
}

// Write writes a message.
func Write(w io.Writer, m Message) error {
	line, err := Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(line)
	return err
}

// A Reader reads messages.
type Reader struct{ lines *bufio.Scanner }

// NewReader returns a reader of messages of at most limit bytes each. It may read ahead of the message that it returns.
func NewReader(r io.Reader, limit int) *Reader {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, limit)
	lines.Split(wholeLine)
	return &Reader{lines}
}

// Read waits for the next message. Beside Unmarshal's errors it returns io.EOF after the last message, and those of the
// underlying reader. A last line without an end is no message.
func (r *Reader) Read(m Message) error {
	if r.lines.Scan() {
		return Unmarshal(r.lines.Bytes(), m)
	}
	switch err := r.lines.Err(); {
	case err == nil:
		return io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return ErrUnreadable
	default:
		return err
	}
}

// wholeLine is bufio.ScanLines, except that it drops a last line that was cut short.
func wholeLine(data []byte, _ bool) (advance int, line []byte, err error) {
	if end := bytes.IndexByte(data, '\n'); end >= 0 {
		return end + 1, data[:end], nil
	}
	return 0, nil, nil
}
