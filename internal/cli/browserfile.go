package cli

import (
	"errors"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/loopkey/loopkey/internal/private"
)

// redirectFile writes a page that redirects to target and that nobody else can read. It returns its URL, and what
// removes it when its target works no more.
func (a *app) redirectFile(stateDir, target string) (fileURL string, remove func(), err error) {
	content := "<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer><title>loopkey</title>" +
		`<meta http-equiv=refresh content="0;url=` + html.EscapeString(target) + `"><p>Opening loopkey…`
	path := ""
	for _, folder := range append(a.sandboxFolders(), stateDir) {
		if path, remove, err = writeApart(folder, content); err == nil {
			break
		}
	}
	if err != nil {
		return "", nil, fmt.Errorf("the redirecting page: %w", err)
	}
	slashed := filepath.ToSlash(path)
	if slashed[0] != '/' { // a drive of Windows
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String(), remove, nil
}

// writeApart writes a page in a new folder inside of folder. Other users can neither enter the one nor rename the
// other.
func writeApart(folder, content string) (path string, remove func(), err error) {
	if why := private.Keeps(folder); why != "" {
		return "", nil, errors.New(why)
	}
	dir, err := os.MkdirTemp(folder, "loopkey-") // 0700
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "open.html")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		remove()
		return "", nil, err
	}
	return path, remove, nil
}

// sandboxFolders returns the folders of the person that a browser in a sandbox can read. A snap gets at no hidden
// folder of the home, and not at /tmp; most browsers from flatpak get at the downloads alone. On macOS the system would
// ask the person before it lets a program of the terminal into the downloads, and no browser needs that.
func (a *app) sandboxFolders() []string {
	home := a.lookup(private.HomeVariable())
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" || !filepath.IsAbs(home) {
		return nil
	}
	var folders []string
	for _, folder := range []string{a.downloads(home), home} {
		below, err := filepath.Rel(home, folder)
		if err == nil && (below == "." || !strings.HasPrefix(below, ".")) {
			folders = append(folders, folder)
		}
	}
	return folders
}

// downloads returns the person's folder for downloads, as user-dirs.dirs of the desktop names it.
func (a *app) downloads(home string) string {
	config := a.lookup("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(home, ".config")
	}
	content, _ := private.Read(filepath.Join(config, "user-dirs.dirs"), 64<<10) // there is none without a desktop
	for line := range strings.Lines(string(content)) {
		value, found := strings.CutPrefix(strings.TrimSpace(line), "XDG_DOWNLOAD_DIR=")
		if !found {
			continue
		}
		value = strings.Trim(value, `"`)
		if below, ok := strings.CutPrefix(value, "$HOME"); ok {
			value = filepath.Join(home, below)
		}
		if filepath.IsAbs(value) {
			return filepath.Clean(value)
		}
	}
	return filepath.Join(home, "Downloads")
}
