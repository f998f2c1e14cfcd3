// Package terminal owns the person's terminal: the waiting line, prompts, what
// is typed or pasted, and every line that is printed meanwhile.
//
// A command writes through a Terminal whatever it has to say. While a login is
// awaited the Terminal shows for how long, on a line that moves out of the way
// of all that is printed; while a passphrase is asked for, that line rests, and
// the keys are the prompt's alone.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/loopkey/loopkey/internal/clock"
	env "github.com/loopkey/loopkey/internal/environ"
)

// Terminal is the one owner of a terminal. It is safe for concurrent use.
type Terminal struct {
	out  io.Writer
	in   *os.File // nil: standard input is no terminal
	live bool     // out is a terminal that can redraw a line

	styled, unicode bool // out draws bold text and colours; and more characters than those of ASCII
	links           bool // out draws links

	mu      sync.Mutex
	waiting *waiting // nil: nothing is awaited
	shown   bool     // the waiting line stands on the screen
	within  bool     // what was last printed did not end its line
	prompt  *prompt  // nil: nothing is asked
	paste   *paste   // nil: nobody reads what is pasted
	asking  chan struct{}
}

// New returns the owner of the terminal behind in and out. environ says what that
// can draw: nothing is redrawn on a dumb one (TERM), nothing is styled or
// a link under NO_COLOR. unicode says that it shows more than ASCII. Where in or out is no
// terminal, a Terminal prints to it all the same, and reads nothing.
func New(in io.Reader, out io.Writer, environ []string, unicode func() bool) *Terminal {
	t := &Terminal{out: out, asking: make(chan struct{}, 1)}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.in = f
	}
	name := env.Lookup(environ, "TERM") // Windows has none
	t.live = Is(out) && !env.IsDumb(environ)
	t.styled = t.live && !env.IsPlain(environ) && (name != "" || runtime.GOOS == "windows")
	t.unicode = t.styled && unicode()
	t.links = t.styled && drawsLinks(environ)
	return t
}

// Is reports whether a person sits at the other end of a stream.
func Is(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Live reports whether a person reads what is printed, on a terminal that can redraw a line.
func (t *Terminal) Live() bool { return t.live }

// Interactive reports whether the person can type: standard input is a terminal.
func (t *Terminal) Interactive() bool { return t.in != nil }

// Write prints text where the waiting line stood; the line comes back below it.
func (t *Terminal) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hide()
	n, err := t.out.Write(text)
	if n > 0 {
		t.within = text[n-1] != '\n'
	}
	t.show()
	return n, err
}

// hide takes the waiting line off the screen. The mutex is held.
func (t *Terminal) hide() {
	if t.shown {
		_, _ = io.WriteString(t.out, "\r\x1b[K")
		t.shown = false
	}
}

// show draws the waiting line, unless something is asked or a printed line is not ended. The mutex is held.
func (t *Terminal) show() {
	if t.waiting == nil || !t.live || t.prompt != nil || t.within {
		return
	}
	if t.waiting.progress != nil {
		line := []rune(t.waiting.progress())
		_, _ = fmt.Fprintf(t.out, "\r\x1b[K%s", string(line[:min(len(line), t.width()-1)]))
		t.shown = true
		return
	}
	left := max(t.waiting.deadline.Sub(clock.Now()), 0).Round(time.Second)
	_, _ = fmt.Fprintf(t.out, "\r\x1b[K%s", fit(t.width(), t.waiting.text, left, t.paste.length()))
	t.shown = true
}

// width returns how many columns the terminal has; 80 where that can't be known.
func (t *Terminal) width() int {
	if width := Width(t.out); width > 0 {
		return width
	}
	return 80
}

// Width returns how many columns the terminal behind a stream has; 0: it is none, or does not say.
func Width(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}

// ErrNoTerminal says that there is no terminal to ask on.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// Password asks for a line without showing it. Meanwhile nothing else is drawn
// or read. It asks on the process's terminal even where standard input is
// something else. ErrNoTerminal where there is none; the cause of ctx where that
// ends first.
func (t *Terminal) Password(ctx context.Context, question string) (string, error) {
	release, err := t.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	p, done := t.begin()
	defer done()
	if t.reading() {
		t.print(question)
		defer t.print("\n")
		return p.wait(ctx)
	}
	keys := t.in
	if keys == nil {
		tty, err := openTTY()
		if err != nil {
			return "", ErrNoTerminal
		}
		defer tty.Close()
		keys = tty
	}
	stop, err := read(keys, 1, silent, t.keys) // key by key: what comes after the line is not the prompt's
	if err != nil {
		return "", ErrNoTerminal
	}
	defer stop()
	t.print(question)
	defer t.print("\n")
	return p.wait(ctx)
}

// mostTyped is how long a line is that a terminal collects itself.
const mostTyped = 4 << 10

// Line asks for a line that is shown and edited as the terminal does it. Meanwhile nothing else is drawn or read.
// ErrNoTerminal where standard input is no terminal, or while what is pasted is read; io.EOF where the person ends the
// input (Ctrl-D); the cause of ctx where that ends first.
func (t *Terminal) Line(ctx context.Context, question string) (string, error) {
	release, err := t.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	if t.in == nil || t.reading() {
		return "", ErrNoTerminal
	}
	p, done := t.begin()
	defer done()
	stop, err := read(t.in, mostTyped, lines, t.keys)
	if err != nil {
		return "", ErrNoTerminal
	}
	defer stop()
	t.print(question)
	line, err := p.wait(ctx)
	if err == nil && p.ended {
		err = io.EOF
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.within = false // the terminal has shown the end of the line
	if err != nil {
		_, _ = io.WriteString(t.out, "\n")
	}
	return line, err
}

// turn waits until no other question is asked.
func (t *Terminal) turn(ctx context.Context) (release func(), err error) {
	select {
	case t.asking <- struct{}{}: // one question at a time
		return func() { <-t.asking }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// begin makes a prompt the one that gets the keys, until done is called.
func (t *Terminal) begin() (p *prompt, done func()) {
	p = &prompt{done: make(chan string, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hide()
	t.prompt = p
	return p, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.prompt = nil
		t.show()
	}
}

// reading reports whether what is pasted is read.
func (t *Terminal) reading() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paste != nil
}

// print writes a prompt's own text: the line that it stands on is the prompt's.
func (t *Terminal) print(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.out, text)
	t.within = text[len(text)-1] != '\n'
}

// A prompt collects the keys of one line.
type prompt struct {
	line  editor
	done  chan string // buffered: the first line is the reply
	ended bool        // by the end of the input; set before the reply is sent
}

// wait returns what the person typed.
func (p *prompt) wait(ctx context.Context) (string, error) {
	select {
	case text := <-p.done:
		return text, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// keys gets what was typed or pasted, in pieces as they come, and reports whether
// more is wanted.
func (t *Terminal) keys(piece []byte) (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prompt != nil {
		for len(piece) > 0 {
			switch c := piece[0]; c {
			case '\r', '\n', endOfInput:
				t.prompt.ended = c == endOfInput && len(t.prompt.line.text) == 0
				t.prompt.end()
				return t.after(piece[1:])
			case 0x1b: // the marks of a paste, a cursor key
				piece = piece[max(escape(piece), 1):]
			default:
				t.prompt.line.key(c)
				piece = piece[1:]
			}
		}
		return true
	}
	return t.after(piece)
}

// after gives keys that no prompt wants to whoever reads what is pasted. The mutex is held.
func (t *Terminal) after(piece []byte) (more bool) {
	if t.paste == nil {
		return false
	}
	t.paste.keys(piece)
	t.show()
	return true
}

// endOfInput is Ctrl-D.
const endOfInput = 0x04

// A mode says how a terminal hands over what is typed.
type mode int

const (
	silent mode = iota // key by key, without an echo
	lines              // line by line, as the terminal shows and edits them
)

// end hands the line over; of several, the first.
func (p *prompt) end() {
	select {
	case p.done <- p.line.take():
	default:
	}
}
