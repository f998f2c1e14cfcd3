package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
)

// progress shows on a terminal that loopkey waits, and how long still. Into a pipe it prints nothing but notes.
type progress struct {
	out      io.Writer
	live     bool
	deadline time.Time
	mu       sync.Mutex
	shown    bool
	done     chan struct{}
	ended    sync.WaitGroup
	once     sync.Once
}

func newProgress(out io.Writer, limit time.Duration) *progress {
	return &progress{out: out, live: isTerminal(out), deadline: clock.Now().Add(limit), done: make(chan struct{})}
}

func (p *progress) start() {
	if !p.live {
		return
	}
	p.ended.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			p.draw()
			select {
			case <-p.done:
				return
			case <-tick.C:
			}
		}
	})
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := max(time.Until(p.deadline), 0).Round(time.Second)
	_, _ = fmt.Fprintf(p.out, "\r\x1b[KWaiting for you in the browser, %s left (Ctrl-C to stop) ", left)
	p.shown = true
}

// note prints a line above the clock.
func (p *progress) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	_, _ = fmt.Fprintln(p.out, line)
}

func (p *progress) clear() {
	if p.shown {
		_, _ = io.WriteString(p.out, "\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) stop() {
	p.once.Do(func() { close(p.done) })
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}
