package loopback

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/words"
)

// ErrNoBrowser says that no browser can be opened here, for callers that then show the URL.
var ErrNoBrowser = errors.New("no browser can be opened here")

// OpenBrowser opens a URL in the user's browser: by a command in $BROWSER, under WSL in the browser of Windows, else
// by the launcher of the platform. It does not wait for the browser to end. Its errors wrap ErrNoBrowser where there is
// none to open.
//
// A launcher may report success and open nothing, so the URL should be shown as well.
func OpenBrowser(ctx context.Context, target string) error {
	if !isPage(target) {
		return errNoPage
	}
	if command := os.Getenv("BROWSER"); command != "" {
		commands, err := browserCommands(command, target)
		if err != nil {
			return fmt.Errorf("BROWSER: %w", err)
		}
		for i, args := range commands {
			failed := launch(ctx, args)
			if failed == nil {
				return nil
			}
			if err = failed; i > 0 {
				err = fmt.Errorf("none of the browsers in BROWSER can be opened, at last: %w", failed)
			}
		}
		return err
	}
	if err := noScreen(); err != nil {
		return err
	}
	if args := wslCommand(target); args != nil {
		if err := launch(ctx, args); err == nil || !environ.HasDisplay(os.Environ()) {
			return err
		}
	}
	return openByPlatform(ctx, target)
}

var errNoPage = errors.New("only a web page is opened in a browser")

// isPage reports whether a URL is one for a browser.
func isPage(target string) bool {
	u, err := url.Parse(target)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http" || u.Scheme == "file")
}

// BrowserName returns the command by which OpenBrowser would open a page, and opens none. Its errors wrap ErrNoBrowser
// where there is no such command.
func BrowserName() (string, error) {
	if value := os.Getenv("BROWSER"); value != "" {
		commands, err := browserCommands(value, urlMark)
		if err != nil {
			return "", fmt.Errorf("BROWSER: %w", err)
		}
		for _, args := range commands {
			var path string
			if path, err = exec.LookPath(args[0]); err == nil {
				return path, nil
			}
		}
		return "", fmt.Errorf("%w: none of the commands in BROWSER is found: %w", ErrNoBrowser, bare(err))
	}
	if err := noScreen(); err != nil {
		return "", err
	}
	if args := wslCommand(urlMark); args != nil {
		return args[0], nil
	}
	return platformBrowser()
}

// noScreen returns an error if the system's browser would open on a screen that the user does not see.
func noScreen() error {
	if environ.ScreenElsewhere(os.Environ()) {
		return fmt.Errorf("%w: this is a session over SSH", ErrNoBrowser)
	}
	return nil
}

// inWSL reports whether this is Linux inside of Windows.
func inWSL() bool { return environ.InWSL(os.Environ()) }

// wslCommand returns the command that opens the browser of Windows from inside WSL, or nil. No shell sees the URL.
func wslCommand(target string) []string {
	if !inWSL() {
		return nil
	}
	if path, err := exec.LookPath("wslview"); err == nil {
		return []string{path, target}
	}
	if strings.HasPrefix(target, "file:") { // Windows has other names for our files
		return nil
	}
	for _, name := range []string{"rundll32.exe", "/mnt/c/Windows/System32/rundll32.exe"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path, "url.dll,FileProtocolHandler", target}
		}
	}
	return nil
}

// launchWait is how long a launcher has to fail.
const launchWait = 500 * time.Millisecond

// launch runs the command of a browser, without a place for its output. It returns when the command has failed, ended,
// or run for launchWait.
func launch(ctx context.Context, args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoBrowser, words.Printable(args[0]), bare(err))
	}
	if runsShell(path) && (runtime.GOOS == "windows" || inWSL()) {
		return fmt.Errorf("%w: %s runs a shell, which would run parts of the URL", ErrNoBrowser, words.Printable(args[0]))
	}
	command := exec.Command(path, args[1:]...) //nolint:noctx,gosec // the user's own browser outlives us
	command.Env = environ.WithoutSecrets(os.Environ())
	command.SysProcAttr = apart()
	if err := command.Start(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoBrowser, words.Printable(args[0]), bare(err))
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	timer := time.NewTimer(launchWait)
	defer timer.Stop()
	select {
	case err := <-ended:
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			return fmt.Errorf("%w: %s ended with %w", ErrNoBrowser, words.Printable(args[0]), exit)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// bare returns an error without the command line, which has the URL in it.
func bare(err error) error {
	if e := new(exec.Error); errors.As(err, &e) {
		return e.Err
	}
	if e := new(os.PathError); errors.As(err, &e) {
		return e.Err
	}
	if e := new(exec.ExitError); errors.As(err, &e) {
		return errors.New(e.String())
	}
	return errors.New("the launcher failed")
}
