package terminal

import (
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/words"
)

// A waiting line says what is awaited, and until when; or how far something is.
type waiting struct {
	text     string
	deadline time.Time
	progress func() string // nil: something is awaited
}

// Wait shows that loopkey waits for something, and how long still, until stop is
// called. A dumb terminal gets one line; what is no terminal gets nothing.
func (t *Terminal) Wait(text string, limit time.Duration) (stop func()) {
	t.mu.Lock()
	w := &waiting{text: text, deadline: clock.Now().Add(limit)} // by the wall, which goes on while a laptop sleeps
	t.waiting = w
	if !t.live {
		if Is(t.out) {
			_, _ = fmt.Fprintf(t.out, "%s, for %s (Ctrl-C to stop).\n", text, words.Duration(limit))
		}
		t.mu.Unlock()
		return func() {}
	}
	t.show()
	t.mu.Unlock()
	return t.redraw()
}

// Progress shows how far something is, as progress says, until stop is called. A
// dumb terminal, and what is no terminal, gets nothing.
func (t *Terminal) Progress(progress func() string) (stop func()) {
	if !t.live {
		return func() {}
	}
	t.mu.Lock()
	t.waiting = &waiting{progress: progress}
	t.show()
	t.mu.Unlock()
	return t.redraw()
}

// redraw draws the waiting line again and again, until stop is called.
func (t *Terminal) redraw() (stop func()) {
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				t.mu.Lock()
				t.show()
				t.mu.Unlock()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		drawing.Wait()
		t.mu.Lock()
		defer t.mu.Unlock()
		t.hide()
		t.waiting = nil
	})
}

// fit returns the longest form of the waiting line that leaves a column of width
// free: a line that wraps can't be redrawn.
func fit(width int, text string, left time.Duration, pasted int) string {
	forms := []string{
		fmt.Sprintf("%s, %s left (Ctrl-C to stop) ", text, left),
		fmt.Sprintf("%s, %s left", text, left),
		fmt.Sprintf("Waiting, %s left", left),
		left.String(),
	}
	if pasted > 0 {
		forms = append([]string{fmt.Sprintf("%d characters pasted, Enter ends them; %s left ", pasted, left)}, forms...)
	}
	for _, form := range forms {
		if utf8.RuneCountInString(form) < width {
			return form
		}
	}
	return ""
}
