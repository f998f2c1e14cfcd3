package loopback

import (
	"context"
	"fmt"
	"syscall"

	"github.com/pkg/browser"
	"golang.org/x/sys/windows"
)

func openByPlatform(_ context.Context, target string) error {
	if err := browser.OpenURL(target); err != nil { // ShellExecute: it runs no command of its own
		return fmt.Errorf("%w: %w", ErrNoBrowser, bare(err))
	}
	return nil
}

func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}
