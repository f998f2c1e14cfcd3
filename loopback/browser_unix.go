//go:build !windows

package loopback

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/loopkey/loopkey/internal/environ"
)

// openByPlatform runs the system's launcher. Some launchers become the browser (xdg-open does so without a desktop), so
// nobody waits for their end.
func openByPlatform(ctx context.Context, target string) error {
	launcher, err := platformBrowser()
	if err != nil {
		return err
	}
	return launch(ctx, []string{launcher, target})
}

// platformBrowser returns the path of the system's launcher.
func platformBrowser() (string, error) {
	if runtime.GOOS == "darwin" {
		return "/usr/bin/open", nil
	}
	if !environ.HasDisplay(os.Environ()) {
		return "", fmt.Errorf("%w: there is no display", ErrNoBrowser)
	}
	for _, name := range []string{"xdg-open", "x-www-browser", "www-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: xdg-open is not installed", ErrNoBrowser)
}

// apart puts a command into a process group of its own, so that Ctrl-C on our terminal does not reach it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
