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

// ErrNoBrowser says that there is no browser to open here.
var ErrNoBrowser = errors.New("no browser can be opened here")

// OpenBrowser opens a URL in the person's browser: the command in $BROWSER, under WSL
// the browser of Windows, else the platform's. It does not wait for the browser to end.
//
// A launcher may report success and open nothing, so the URL should be shown as well.
func OpenBrowser(ctx context.Context, target string) error {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file" {
		return errors.New("only a web page is opened in a browser")
	}
	if command := os.Getenv("BROWSER"); command != "" {
		args, err := browserCommand(command, target)
		if err != nil {
			return fmt.Errorf("BROWSER: %w", err)
		}
		return launch(ctx, args)
	}
	if args := wslCommand(target); args != nil {
		if err := launch(ctx, args); err == nil || os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return err
		}
	}
	return openByPlatform(ctx, target)
}

// browserCommand splits $BROWSER into words as a shell would, without one; %s is
// replaced by the URL, else it is the last argument.
func browserCommand(command, target string) ([]string, error) {
	words, err := splitWords(command)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, errors.New("it names no command")
	}
	replaced := false
	for i, word := range words[1:] {
		if strings.Contains(word, "%s") {
			words[i+1] = strings.ReplaceAll(word, "%s", target)
			replaced = true
		}
	}
	if !replaced {
		words = append(words, target)
	}
	return words, nil
}

// splitWords knows quotes and backslashes, and nothing else of a shell. On Windows a
// backslash belongs to a path.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' && r != '$' && r != '`' {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'' && runtime.GOOS != "windows":
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// wslCommand opens the browser of Windows from inside WSL; nil elsewhere. No shell sees the URL.
func wslCommand(target string) []string {
	if runtime.GOOS != "linux" || os.Getenv("WSL_DISTRO_NAME") == "" && os.Getenv("WSL_INTEROP") == "" {
		return nil
	}
	if path, err := exec.LookPath("wslview"); err == nil {
		return []string{path, target}
	}
	if strings.HasPrefix(target, "file:") { // Windows knows our files by other names
		return nil
	}
	for _, name := range []string{"rundll32.exe", "/mnt/c/Windows/System32/rundll32.exe"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path, "url.dll,FileProtocolHandler", target}
		}
	}
	return nil
}

// launchWait is how long a launcher has to say that it can't.
const launchWait = 500 * time.Millisecond

// launch starts a browser with its output kept out of ours, and comes back when it has
// failed, ended, or run for a moment.
func launch(ctx context.Context, args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoBrowser, words.Printable(args[0]), bare(err))
	}
	command := exec.Command(path, args[1:]...) //nolint:noctx,gosec // the person's own browser: it outlives us
	command.Env = environ.WithoutSecrets(os.Environ())
	command.SysProcAttr = apart() // Ctrl-C on our terminal is not for the browser
	if err := command.Start(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoBrowser, words.Printable(args[0]), bare(err))
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	timer := time.NewTimer(launchWait)
	defer timer.Stop()
	select {
	case err := <-ended:
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("%w: %s ended with %w", ErrNoBrowser, words.Printable(args[0]), exit)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// bare takes the command line, and with it the URL, out of an error.
func bare(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return errors.New(e.String())
	}
	return errors.New("the launcher failed")
}
