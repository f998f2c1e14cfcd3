package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// catchSignals makes the first signal cancel ctx, so that loopkey ends in good order. The second Ctrl-C kills it.
func catchSignals(ctx context.Context, cancel context.CancelFunc) {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		ends = append(ends, syscall.SIGHUP) // when the terminal is closed, loopkey ends in good order
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGHUP) // the shell and the kernel may both send it: the second one must not kill
	}
	caught, stop := signal.NotifyContext(ctx, ends...)
	context.AfterFunc(caught, func() {
		stop()
		cancel()
	})
}
