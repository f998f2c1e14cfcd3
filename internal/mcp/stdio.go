package mcp

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
)

// maxMessage is the length of the longest message that passes the bridge, in either direction.
const maxMessage = 32 << 20

// A line is one line of the host's.
type line struct {
	text []byte
	// tooLong says that the line was longer than a message may be. text is empty then, and seen has what was found in it.
	tooLong bool
	seen    glance
}

// readLines reads lines until the end, and hands them to take, which must be done with a line before the next is read.
// A line may end with LF or CRLF, the last one with the end. Empty lines are left out. It returns nil at the end.
func readLines(r io.Reader, limit int, take func(line) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	first := true
	var l line
	for {
		chunk, err := in.ReadSlice('\n')
		if first {
			chunk = bytes.TrimPrefix(chunk, []byte("\uFEFF"))
			first = false
		}
		switch {
		case l.tooLong:
			l.seen.write(chunk)
		case len(bytes.TrimRight(chunk, "\r\n"))+len(l.text) > limit:
			l.tooLong = true
			l.seen.write(l.text)
			l.seen.write(chunk)
			l.text = nil
		default:
			l.text = append(l.text, chunk...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		l.text = bytes.TrimRight(l.text, "\r\n")
		if l.tooLong || len(bytes.TrimSpace(l.text)) > 0 {
			if err := take(l); err != nil {
				return err
			}
		}
		l = line{}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// A glance finds the members id and method of a JSON object that is too long to be kept. It reads the object in pieces.
type glance struct {
	depth    int
	inString bool
	escaped  bool
	inKey    bool   // the string is a member's name
	value    bool   // after the colon of a member of the object itself
	array    bool   // it is no object but an array
	text     []byte // the name or the value that is being read
	key      string

	id     []byte // as it was written; nil where none was found
	method bool
}

// mostGlance is the longest name or ID that a glance keeps.
const mostGlance = 256

func (g *glance) write(p []byte) {
	for _, c := range p {
		g.step(c)
	}
}

func (g *glance) step(c byte) {
	keep := func() {
		if g.depth == 1 && len(g.text) <= mostGlance {
			g.text = append(g.text, c)
		}
	}
	switch {
	case g.inString:
		keep()
		switch {
		case g.escaped:
			g.escaped = false
		case c == '\\':
			g.escaped = true
		case c == '"':
			g.inString = false
			if g.inKey {
				g.key, g.text = string(g.text), nil
			}
		}
	case c == '"':
		g.inString, g.inKey = true, g.depth == 1 && !g.value
		keep()
	case c == '{' || c == '[':
		if g.depth == 0 && c == '[' {
			g.array = true
		}
		keep()
		g.depth++
	case c == '}' || c == ']' || c == ',' && g.depth == 1:
		if g.depth == 1 {
			g.member()
		}
		if c != ',' {
			g.depth--
		}
	case c == ':' && g.depth == 1:
		g.value, g.text = true, nil
	default:
		keep()
	}
}

// member is called at the end of a member of the object itself.
func (g *glance) member() {
	switch text := bytes.TrimSpace(g.text); {
	case g.array || !g.value:
	case g.key == `"id"` && len(text) <= mostGlance:
		g.id = bytes.Clone(text)
	case g.key == `"method"`:
		g.method = true
	}
	g.key, g.text, g.value = "", nil, false
}

// A writer writes lines to the host, one at a time. A slow host makes its callers wait.
type writer struct {
	lines chan []byte
	quit  chan struct{}
	done  chan struct{} // closed once nothing is written any more
	err   error         // why, if that was an error; set before done is closed
}

var errWriterDone = errors.New("nothing is written any more")

// newWriter starts to write, until the first error or until quit is closed. Only a Write of w can make it last longer.
func newWriter(w io.Writer) *writer {
	out := &writer{lines: make(chan []byte), quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(out.done)
		for {
			select {
			case text := <-out.lines:
				if _, err := w.Write(text); err != nil {
					out.err = err
					return
				}
			case <-out.quit:
				return
			}
		}
	}()
	return out
}

// write returns once the line is the one being written, or with the cause of ctx.
func (w *writer) write(ctx context.Context, text []byte) error {
	select {
	case w.lines <- append(text[:len(text):len(text)], '\n'): // one Write a line: whoever reads never sees half of one
		return nil
	case <-w.done:
		return cmp.Or(w.err, errWriterDone)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
