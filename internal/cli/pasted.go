package cli

import (
	"bufio"
	"context"
	"io"
	"strings"
)

// mostPasted is how many lines may be wrong before stdin is taken for something else than a person.
const mostPasted = 10

// pastedURLs reads lines from stdin until ctx ends: the URL that a browser elsewhere ended up at.
func (a *app) pastedURLs(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		scanner := bufio.NewScanner(io.LimitReader(a.stdin, 1<<20))
		scanner.Buffer(nil, 64<<10)
		for scanner.Scan() {
			line := strings.TrimSpace(scanner.Text())
			if line == "" {
				continue
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
