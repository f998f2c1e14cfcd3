package cli

import (
	"bufio"
	"context"
	"strings"
)

// noState replaces a line without a state. It is no response, and a person gets to hear that.
const noState = "-"

// mostPiped is how many wrong lines from a pipe loopkey comments on.
const mostPiped = 10

// pasted returns the lines that may be the URL that a browser on another machine ended up at. A person pastes it into
// the terminal. A standard input that is no terminal is read only where asked says so, since it may be meant for
// another command.
func (a *app) pasted(ctx context.Context, asked bool) (lines <-chan string, stop func()) {
	if a.terminal.Interactive() {
		return a.terminal.Pasted()
	}
	if !asked {
		return nil, func() {}
	}
	ctx, stop = context.WithCancel(ctx)
	return a.piped(ctx), stop
}

// piped returns the lines of standard input until ctx ends. Anybody may write into a pipe, and only the state binds a
// response to this login, so a line without a state is replaced by noState.
func (a *app) piped(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		scanner := bufio.NewScanner(a.stdin)
		scanner.Buffer(nil, 64<<10)
		for scanner.Scan() {
			line := strings.TrimSpace(scanner.Text())
			if line == "" {
				continue
			}
			if !strings.Contains(line, "state=") {
				line = noState
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
