//go:build !windows

package loopback

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/private"
)

// askLimit is how long the system may take to say which browser is the default one.
const askLimit = 5 * time.Second

// output returns what a program of the system prints, or nil. It has a limit of its own, and prints little.
func output(ctx context.Context, name string, args ...string) []byte {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	text, err := exec.CommandContext(ctx, path, args...).Output() //nolint:gosec // a program of the system
	if err != nil {
		return nil
	}
	return text
}

// defaultBrowser returns the command of the user's default browser, without a URL, or nil.
func defaultBrowser(ctx context.Context) []string {
	if runtime.GOOS == "darwin" {
		return macBrowser(ctx)
	}
	desktop := strings.TrimSpace(string(output(ctx, "xdg-settings", "get", "default-web-browser")))
	if desktop == "" || filepath.Base(desktop) != desktop {
		return nil
	}
	for _, folder := range dataFolders() {
		if command := execOf(filepath.Join(folder, "applications", desktop)); command != nil {
			return command
		}
	}
	return nil
}

// dataFolders returns where desktop files are. A path that is not absolute counts as not there (XDG Base Directory
// Specification, section 2): it would lead into the folder that the person happens to be in.
func dataFolders() []string {
	folders := filepath.SplitList(os.Getenv("XDG_DATA_DIRS"))
	if len(folders) == 0 {
		folders = []string{"/usr/local/share", "/usr/share"}
	}
	home := os.Getenv("XDG_DATA_HOME")
	if home == "" {
		home = filepath.Join(os.Getenv("HOME"), ".local", "share")
	}
	return slices.DeleteFunc(append([]string{home}, folders...), func(folder string) bool {
		return !filepath.IsAbs(folder)
	})
}

// mostDesktopFile is how large a desktop file may be.
const mostDesktopFile = 1 << 20

// execOf returns the command of a desktop file (Desktop Entry Specification 1.5, section 7) without a URL, or nil.
func execOf(path string) []string {
	content, _, err := private.ReadRegular(path, mostDesktopFile)
	if err != nil {
		return nil
	}
	inEntry := false
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			inEntry = line == "[Desktop Entry]"
		}
		value, ok := strings.CutPrefix(line, "Exec=")
		if !ok || !inEntry {
			continue
		}
		command, err := splitWords(value)
		if err != nil {
			return nil
		}
		command = slices.DeleteFunc(command, func(word string) bool { return strings.HasPrefix(word, "%") })
		if len(command) > 0 && filepath.Base(command[0]) == "env" { // a snap's sets a variable for the desktop
			command = slices.DeleteFunc(command[1:], func(word string) bool { return strings.Contains(word, "=") })
		}
		if len(command) > 0 && (filepath.IsAbs(command[0]) || filepath.Base(command[0]) == command[0]) {
			return command
		}
	}
	return nil
}

// macBrowser is defaultBrowser on macOS, by what Launch Services noted.
func macBrowser(ctx context.Context) []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	list := filepath.Join(home, "Library", "Preferences", "com.apple.LaunchServices",
		"com.apple.launchservices.secure.plist")
	var handlers []struct {
		Scheme string `json:"LSHandlerURLScheme"`
		Role   string `json:"LSHandlerRoleAll"`
	}
	text := output(ctx, "/usr/bin/plutil", "-extract", "LSHandlers", "json", "-o", "-", list)
	if json.Unmarshal(bytes.TrimSpace(text), &handlers) != nil {
		return nil
	}
	for _, h := range handlers {
		if h.Scheme == "https" && h.Role != "" && !strings.HasPrefix(h.Role, "-") {
			return []string{"/usr/bin/open", "-n", "-b", h.Role, "--args"}
		}
	}
	return nil
}
