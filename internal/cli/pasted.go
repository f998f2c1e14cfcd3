package cli

import (
	"bufio"
	"context"
	"strings"
)

// noState stands for a line without a state: it is no response, and is told of as one.
const noState = "-"

// mostPiped is how many lines that are no response are told of, where no person types them.
const mostPiped = 10

// pasted returns what arrives instead of the browser: the URL that a browser
// elsewhere ended up at. A person pastes it into the terminal. Where standard
// input is something else it is read only if asked for, since it may be meant
// for the command after this one.
func (a *app) pasted(ctx context.Context, asked bool) (entries <-chan string, stop func()) {
	if a.terminal.Interactive() {
		return a.terminal.Pasted()
	}
	if !asked {
		return nil, func() {}
	}
	ctx, stop = context.WithCancel(ctx)
	return a.piped(ctx), stop
}

// piped reads lines from standard input until ctx ends. Only its state binds what
// anybody writes into a pipe to this login, so a line has to have one.
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
