package loopback

import (
	"context"
	"fmt"
	"syscall"

	"github.com/pkg/browser"
	"golang.org/x/sys/windows"
)

// openByPlatform opens a URL as Windows does.
func openByPlatform(_ context.Context, target string) error {
	if err := browser.OpenURL(target); err != nil { // by ShellExecute, which runs no shell
		return fmt.Errorf("%w: %w", ErrNoBrowser, bare(err))
	}
	return nil
}

// platformBrowser names what opens a URL.
func platformBrowser() (string, error) { return "the default browser of Windows", nil }

// apart puts a command into a process group of its own, so that Ctrl-C in our console does not reach it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}
