package mcp

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
	"time"
)

// An event is one event of a stream of server-sent events.
type event struct {
	name string // "" stands for message
	data []byte
	// tooLong says that the event was longer than a message may be. It has no data then.
	tooLong bool
}

// eventReader reads a stream of server-sent events (HTML, section 9.2). It keeps at most one event in memory.
type eventReader struct {
	r       *bufio.Reader
	limit   int
	started bool
	afterCR bool // the last line ended with a CR, to which a LF may belong

	lastID string        // the ID of the last event with one
	retry  time.Duration // what the server last asked to wait before a new connection; 0: it did not ask
}

func newEventReader(r io.Reader, limit int) *eventReader {
	return &eventReader{r: bufio.NewReaderSize(r, 32<<10), limit: limit}
}

// next returns the next event, also one without data. An event that the end of the stream cuts short is none. The error
// is io.EOF at the end, or that of the connection.
func (e *eventReader) next() (event, error) {
	var ev event
	var data []byte
	id, anyID, anyData, any := "", false, false, false
	for {
		line, tooLong, err := e.line()
		if err != nil {
			return event{}, err
		}
		if len(line) == 0 && !tooLong {
			if !any {
				continue
			}
			if anyID {
				e.lastID = id
			}
			if !ev.tooLong {
				ev.data = data
			}
			return ev, nil
		}
		any = true
		if tooLong {
			ev.tooLong = true
			data = nil
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			ev.name = string(value)
		case "data":
			if anyData {
				data = append(data, '\n')
			}
			anyData = true
			if ev.tooLong || len(data)+len(value) > e.limit {
				ev.tooLong, data = true, nil
				continue
			}
			data = append(data, value...)
		case "id":
			// An ID with NUL is ignored, as the standard says, and one that no request could carry as well.
			if len(value) <= mostID && validValue(string(value)) {
				id, anyID = string(value), true
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil && !strings.HasPrefix(string(value), "+") {
				e.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

// mostID is the longest ID of an event that is kept.
const mostID = 4 << 10

// line returns the next line without its end: LF, CR or CRLF. Of a line that is too long it returns only that.
func (e *eventReader) line() (line []byte, tooLong bool, err error) {
	for {
		chunk, err := e.r.Peek(1)
		if err != nil {
			return nil, false, err // a line without an end belongs to no whole event
		}
		if e.afterCR && chunk[0] == '\n' {
			_, _ = e.r.Discard(1)
			e.afterCR = false
			continue
		}
		e.afterCR = false
		chunk, _ = e.r.Peek(e.r.Buffered())
		end := bytes.IndexAny(chunk, "\r\n")
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		switch {
		case tooLong:
		case len(line)+len(part) > e.limit+fieldRoom:
			line, tooLong = nil, true
		default:
			line = append(line, part...)
		}
		if end < 0 {
			_, _ = e.r.Discard(len(chunk))
			continue
		}
		e.afterCR = chunk[end] == '\r'
		_, _ = e.r.Discard(end + 1)
		if !e.started {
			e.started = true
			line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		}
		return line, tooLong, nil
	}
}

// fieldRoom is what a line may have beside the data: the name of the field.
const fieldRoom = 16

// resume returns a reader for the stream that goes on after the last event of this one.
func (e *eventReader) resume(r io.Reader) *eventReader {
	next := newEventReader(r, e.limit)
	next.lastID, next.retry = e.lastID, e.retry
	return next
}
