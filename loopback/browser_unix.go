//go:build !windows

package loopback

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// openByPlatform runs the system's launcher. It may turn into the browser itself
// (xdg-open does without a desktop), so nobody waits for its end.
func openByPlatform(ctx context.Context, target string) error {
	if runtime.GOOS == "darwin" {
		if os.Getenv("SSH_CONNECTION") != "" { // it would open where the person is not
			return fmt.Errorf("%w: this is a session over SSH", ErrNoBrowser)
		}
		return launch(ctx, []string{"/usr/bin/open", target})
	}
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return fmt.Errorf("%w: there is no display", ErrNoBrowser)
	}
	for _, name := range []string{"xdg-open", "x-www-browser", "www-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return launch(ctx, []string{path, target})
		}
	}
	return fmt.Errorf("%w: xdg-open is not installed", ErrNoBrowser)
}

func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
