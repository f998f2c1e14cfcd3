package terminal

import (
	"bytes"
	"io"
	"time"
)

// quiet is how long nothing has to come after the end of a line before what came
// is taken for whole: a URL that was copied from a narrow window is many lines.
const quiet = 300 * time.Millisecond

// mostPasted is how many characters of a paste are kept.
const mostPasted = 64 << 10

// A paste collects what is typed or pasted while a login is awaited.
type paste struct {
	line  editor
	burst bytes.Buffer // an escape sequence that is not complete yet
	timer *time.Timer
	out   chan string
}

func (p *paste) length() int {
	if p == nil {
		return 0
	}
	return len(p.line.text)
}

// Pasted reads what the person types or pastes, until stop is called, and sends
// each entry whole: what came before an end of line after which nothing more
// came, or between the marks that a terminal puts around a paste. An entry may
// hold ends of lines. The terminal hands over single keys meanwhile, and echoes
// none: a line that it would collect itself ends at 4,095 characters on Linux and
// at 1,024 on macOS. The channel is nil where standard input is no terminal, or
// another job has it.
func (t *Terminal) Pasted() (entries <-chan string, stop func()) {
	if t.in == nil {
		return nil, func() {}
	}
	p := &paste{out: make(chan string, 1)}
	p.timer = time.AfterFunc(time.Hour, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		p.send()
		t.show()
	})
	p.timer.Stop()
	t.mu.Lock()
	t.paste = p
	t.mu.Unlock()
	stopReading, err := read(t.in, 4<<10, silent, t.keys)
	if err != nil {
		t.mu.Lock()
		t.paste = nil
		t.mu.Unlock()
		return nil, func() {}
	}
	t.marks(true)
	return p.out, func() {
		stopReading()
		t.marks(false)
		t.mu.Lock()
		defer t.mu.Unlock()
		p.timer.Stop()
		t.paste = nil
	}
}

// marks has the terminal put marks around a paste, or no longer.
func (t *Terminal) marks(on bool) {
	if !t.live {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	mode := "\x1b[?2004l"
	if on {
		mode = "\x1b[?2004h"
	}
	_, _ = io.WriteString(t.out, mode)
}

// Marks that a terminal puts around a paste.
const (
	pasteBegins = "\x1b[200~"
	pasteEnds   = "\x1b[201~"
)

// keys adds a piece of what was typed. The Terminal's mutex is held.
func (p *paste) keys(piece []byte) {
	p.timer.Stop()
	p.burst.Write(piece)
	rest := p.burst.Bytes()
	ended := false
	for len(rest) > 0 {
		switch rest[0] {
		case 0x1b:
			n := escape(rest)
			if n == 0 { // the rest of it is still to come
				rest = bytes.Clone(rest)
				p.burst.Reset()
				p.burst.Write(rest[:min(len(rest), 32)])
				return
			}
			if string(rest[:n]) == pasteEnds {
				p.send()
			}
			rest = rest[n:]
			continue
		case '\r', '\n':
			ended = true
			p.line.add('\n')
		default:
			p.line.key(rest[0])
		}
		rest = rest[1:]
	}
	p.burst.Reset()
	if ended {
		p.timer.Reset(quiet)
	}
}

// send hands the entry over. Where the one before was not taken yet, this one replaces it.
func (p *paste) send() {
	text := p.line.take()
	if len(bytes.TrimSpace([]byte(text))) == 0 {
		return
	}
	select {
	case <-p.out:
	default:
	}
	p.out <- text
}

// escape returns how many bytes the escape sequence at the beginning of keys has
// (ECMA-48, section 5.4); 0: it has not come whole.
func escape(keys []byte) int {
	if len(keys) < 2 {
		return 0
	}
	if keys[1] != '[' && keys[1] != 'O' {
		return 2
	}
	for i, c := range keys[2:] {
		if c >= 0x40 && c <= 0x7e {
			return i + 3
		}
		if i > 16 {
			return 2
		}
	}
	return 0
}

// An editor holds a line that is being typed.
type editor struct{ text []byte }

// key adds a key, or does what it means: backspace, Ctrl-U, Ctrl-W.
func (e *editor) key(c byte) {
	switch c {
	case 0x7f, 0x08:
		e.drop()
	case 0x15: // Ctrl-U
		e.clear()
	case 0x17: // Ctrl-W
		e.text = bytes.TrimRight(e.text, " ")
		for len(e.text) > 0 && e.text[len(e.text)-1] != ' ' {
			e.drop()
		}
	default:
		if c >= ' ' || c == '\t' {
			e.add(c)
		}
	}
}

func (e *editor) add(c byte) {
	if len(e.text) < mostPasted {
		e.text = append(e.text, c)
	}
}

// drop removes the last character, of several bytes maybe.
func (e *editor) drop() {
	for n := len(e.text); n > 0; n = len(e.text) {
		last := e.text[n-1]
		e.text = e.text[:n-1]
		if last < 0x80 || last >= 0xc0 { // not one that continues a character
			return
		}
	}
}

func (e *editor) clear() {
	clear(e.text)
	e.text = e.text[:0]
}

func (e *editor) take() string {
	text := string(e.text)
	e.clear()
	return text
}
