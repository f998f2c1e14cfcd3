// Package pty gives a test's child process a terminal of its own, and plays the
// person who sits at it.
package pty

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait for a text that has to come: a test that meets it has failed.
const patience = 2 * time.Minute

// A Terminal is what the person sees of a child process, and types to it.
type Terminal struct {
	Cmd *exec.Cmd

	t       testing.TB
	control *os.File // the person's end
	mu      sync.Mutex
	screen  bytes.Buffer // all that was ever printed
	read    int          // of it, what Expect has passed
	changed chan struct{}
	ended   bool
}

// Start starts cmd as the foreground job of a terminal of 80 columns. It is
// killed at the end of the test if it still runs.
func Start(t testing.TB, cmd *exec.Cmd) *Terminal {
	t.Helper()
	control, tty, err := open()
	if err != nil {
		t.Fatalf("no terminal: %v", err)
	}
	defer tty.Close()
	p := &Terminal{Cmd: cmd, t: t, control: control, changed: make(chan struct{}, 1)}
	p.Resize(80)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(p.watch)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		reading.Wait()
		_ = control.Close()
		if t.Failed() {
			t.Logf("the terminal showed:\n%q", p.screen.String())
		}
	})
	return p
}

// open makes a pair of pseudo terminals (pts(4)).
func open() (control, tty *os.File, err error) {
	control, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(control.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = control.Close()
		return nil, nil, err
	}
	return control, tty, nil
}

// Resize sets the terminal's width in columns.
func (p *Terminal) Resize(columns uint16) {
	p.t.Helper()
	if err := unix.IoctlSetWinsize(
		int(p.control.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns},
	); err != nil {
		p.t.Fatal(err)
	}
}

// watch collects what is printed, until no process has the terminal open.
func (p *Terminal) watch() {
	piece := make([]byte, 4<<10)
	for {
		n, err := p.control.Read(piece)
		p.mu.Lock()
		p.screen.Write(piece[:n])
		p.ended = err != nil
		p.mu.Unlock()
		select {
		case p.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// Type sends text as if the user typed or pasted it.
func (p *Terminal) Type(keys string) {
	p.t.Helper()
	if _, err := p.control.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// Expect waits until text is printed, after the text of the last Expect. It returns everything printed since then, up
// to the end of text. Where text has a space, the terminal may have a new line: loopkey breaks long ones.
func (p *Terminal) Expect(text string) string {
	p.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		p.mu.Lock()
		unread := p.screen.String()[p.read:]
		ended := p.ended
		if end := endOf(text, unread); end >= 0 {
			p.read += end
			p.mu.Unlock()
			return unread[:end]
		}
		p.mu.Unlock()
		if ended {
			p.t.Fatalf("%q was never printed", text)
		}
		select {
		case <-p.changed:
		case <-limit.C:
			p.t.Fatalf("%q is not printed", text)
		}
	}
}

// endOf returns where in what was printed the first occurrence of text ends, or -1.
func endOf(text, printed string) int {
	words := strings.Split(text, " ")
	for start := 0; start <= len(printed); start++ {
		at := strings.Index(printed[start:], words[0])
		if at < 0 {
			break
		}
		start += at
		rest, found := printed[start+len(words[0]):], true
		for _, word := range words[1:] {
			var spaced, broken bool
			if rest, spaced = strings.CutPrefix(rest, " "); !spaced {
				rest, broken = strings.CutPrefix(rest, "\r\n")
			}
			if found = spaced || broken; !found {
				break
			}
			if rest, found = strings.CutPrefix(rest, word); !found {
				break
			}
		}
		if found {
			return len(printed) - len(rest)
		}
	}
	return -1
}

// Screen returns all that was printed so far.
func (p *Terminal) Screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// Exit waits for the child to end, and returns its exit code.
func (p *Terminal) Exit() int {
	p.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Cmd.Wait() // its error is the exit code, which is returned below
	}()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
		p.t.Fatal("it does not end")
	}
	for { // until all that it printed is read
		p.mu.Lock()
		read := p.ended
		p.mu.Unlock()
		if read {
			return p.Cmd.ProcessState.ExitCode()
		}
		select {
		case <-p.changed:
		case <-limit.C:
			p.t.Fatal("its terminal is still in use")
		}
	}
}

// Echoes reports whether the terminal echoes what is typed and collects lines, as a shell wants it.
func (p *Terminal) Echoes() bool {
	p.t.Helper()
	mode, err := unix.IoctlGetTermios(int(p.control.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(fmt.Errorf("the terminal's mode: %w", err))
	}
	return mode.Lflag&unix.ECHO != 0 && mode.Lflag&unix.ICANON != 0
}
