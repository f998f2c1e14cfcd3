package terminal

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/windows"
)

// openTTY opens the process's console, whatever standard input is.
func openTTY() (*os.File, error) { return os.OpenFile("CONIN$", os.O_RDWR, 0) }

// read calls keys with what is typed on the console, at most so many bytes at a time, until keys wants no more or stop
// is called. Ctrl-C goes on to interrupt. The end of the input is endOfInput. A read that is under way at the end is
// left behind: it takes one more key, or line.
func read(console *os.File, most int, m mode, keys func([]byte) (more bool)) (stop func(), err error) {
	handle := windows.Handle(console.Fd())
	var before uint32
	if err := windows.GetConsoleMode(handle, &before); err != nil {
		return nil, err
	}
	single := before &^ (windows.ENABLE_LINE_INPUT | windows.ENABLE_ECHO_INPUT)
	if m == lines {
		single |= windows.ENABLE_LINE_INPUT | windows.ENABLE_ECHO_INPUT
	}
	single |= windows.ENABLE_PROCESSED_INPUT
	if err := windows.SetConsoleMode(handle, single); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	ended := false
	go func() {
		piece := make([]byte, most)
		for {
			n, err := console.Read(piece)
			mu.Lock()
			if !ended && errors.Is(err, io.EOF) { // Ctrl-Z at the beginning of a line
				keys([]byte{endOfInput})
			}
			if ended || err != nil {
				mu.Unlock()
				return
			}
			more := keys(piece[:n])
			clear(piece[:n])
			mu.Unlock()
			if !more {
				return
			}
		}
	}()
	return func() {
		_ = windows.SetConsoleMode(handle, before)
		mu.Lock()
		ended = true
		mu.Unlock()
	}, nil
}
