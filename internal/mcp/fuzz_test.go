package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzEvents checks the reader of events against the standard, read literally, and that it does not matter in which
// pieces a stream arrives.
func FuzzEvents(f *testing.F) {
	for _, stream := range []string{
		"data: a\n\n", "data:a\r\ndata: b\r\n\r\n", "data: a\rdata\r\rdata: b\r\n\n",
		"\uFEFFdata: a\n\n", "\uFEFF\uFEFFdata: a\n\n",
		"id: 1\ndata: a\n\nid: a\x00b\ndata: b\n\n", "id\ndata: a\n\n", "retry: 10\nretry: +5\nretry: x\n\n",
		": comment\n\n:\n\n",
		"event: endpoint\ndata: /m\n\n", "data: cut", "data: a\n", "id: 7\n\nid: 8\n", "\r\n\r\n\n\rdata: {}\r\r",
		"data:  two\n\n",
		"data: 123456789\n\ndata: 1234\ndata: 5678\n\ndata: ok\n\n", "id: \x01\n\n", "x: y\nDATA: z\n\n",
	} {
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		const limit = 16
		want, wantID := eventsByTheStandard(stream, limit)
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(stream), "bytes": iotest.OneByteReader(strings.NewReader(stream)),
		} {
			reader := newEventReader(r, limit)
			var got []event
			for {
				ev, err := reader.next()
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Fatal(err)
					}
					break
				}
				if ev.tooLong && ev.data != nil || len(ev.data) > limit {
					t.Errorf("%s: a long event with %q", name, ev.data)
				}
				if ev.name != "" || len(ev.data) > 0 || ev.tooLong {
					got = append(got, ev)
				}
			}
			if !slices.EqualFunc(got, want, sameEvent) || reader.lastID != wantID {
				t.Errorf("%s: %+v, ID %q, want %+v, ID %q", name, got, reader.lastID, want, wantID)
			}
		}
	})
}

func sameEvent(a, b event) bool {
	return a.name == b.name && bytes.Equal(a.data, b.data) && a.tooLong == b.tooLong
}

// eventsByTheStandard reads a stream as HTML, section 9.2.6 says it: all at once.
func eventsByTheStandard(stream string, limit int) (all []event, lastID string) {
	stream = strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(stream, "\uFEFF"), "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	var data []string
	var ev event
	id, anyID := "", false
	for _, line := range lines[:len(lines)-1] { // what follows the last line end is cut short
		if line == "" {
			if anyID {
				lastID = id
			}
			if !ev.tooLong {
				ev.data = []byte(strings.Join(data, "\n"))
			}
			if ev.name != "" || len(ev.data) > 0 || ev.tooLong {
				all = append(all, ev)
			}
			data, ev, anyID = nil, event{}, false
			continue
		}
		if len(line) > limit+fieldRoom {
			ev.tooLong = true
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			ev.name = value
		case "data":
			data = append(data, value)
			ev.tooLong = ev.tooLong || len(strings.Join(data, "\n")) > limit
		case "id":
			if validValue(value) {
				id, anyID = value, true
			}
		}
	}
	return all, lastID
}

// FuzzLines checks that every line of the host's is either passed on as JSON on one line, or gets an error; that it
// does not matter in which pieces it arrives; and that what is found in a line that is too long is what JSON says.
func FuzzLines(f *testing.F) {
	for _, input := range []string{
		`{"id":1,"method":"x"}` + "\n", `{"id":1,"method":"x"}`, "\r\n\n{}\r\n", "\uFEFF{\"method\":\"x\"}\n",
		`[{"id":"a","result":{}},7]`,
		`{"id":null,"method":"x"}`, `{"id":1.0,"error":{}}`,
		`{"a":{"id":2},"id":"\"}","b":[{"id":3}],"method":"m"}`,
		"{\"a\":\"\xff\",\"method\":\"x\"}",
		`{"id":1,"id":2,"method":"x"}`, `{"\u0069d":1,"method":"x"}`, `{"method":1}`, `[]`, `"`, "\x00\n",
	} {
		f.Add(input, 1000)
		f.Add(input, 3)
	}
	f.Fuzz(func(t *testing.T, input string, limit int) {
		if limit < 0 {
			return
		}
		read := func(r io.Reader) (lines []string) {
			err := readLines(r, limit, func(l line) error {
				lines = append(lines, string(l.text))
				if len(l.text) > limit || l.tooLong && len(l.text) > 0 {
					t.Errorf("a line of %d bytes, limit %d", len(l.text), limit)
				}
				all, wrong := parseLine(l.text)
				if !l.tooLong && len(all)+len(wrong) == 0 {
					t.Errorf("%q is no message and no error", l.text)
				}
				for _, m := range all {
					if bytes.ContainsAny(m.raw, "\r\n") || !json.Valid(m.raw) || m.kind == request && m.key == "" {
						t.Errorf("passed on: %q", m.raw)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return lines
		}
		whole, pieces := read(strings.NewReader(input)), read(iotest.OneByteReader(strings.NewReader(input)))
		if !slices.Equal(whole, pieces) {
			t.Errorf("%q and %q", whole, pieces)
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal([]byte(input), &fields) != nil || strings.Contains(input, `\u`) {
			return // an escaped name is not found
		}
		var seen glance
		for _, c := range []byte(input) {
			seen.write([]byte{c})
		}
		if _, method := fields["method"]; seen.method != method {
			t.Errorf("method: %v", seen.method)
		}
		if id := fields["id"]; idKey(id) != "" && len(id) < mostGlance && string(seen.id) != string(id) {
			t.Errorf("id: %q, want %q", seen.id, id)
		}
	})
}
