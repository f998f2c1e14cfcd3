package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
)

// browser says by what a page is opened, and whether that is in a sandbox.
func browser(ctx context.Context, x *examination) []Finding {
	opener, err := loopback.BrowserName()
	if err != nil {
		where := ""
		switch {
		case environ.ScreenElsewhere(x.Environ): // that is the error
		case environ.OverSSH(x.Environ):
			where = "; this is a session over SSH"
		case environ.InContainer(x.Environ):
			where = "; this is a container"
		}
		return because(Warning, ReasonNoBrowser, words.Printable(err.Error())+where)
	}
	told := words.Printable(opener)
	if runtime.GOOS != "linux" {
		return one(OK, told)
	}
	path, desktop := opener, ""
	if filepath.Base(opener) == "xdg-open" {
		if desktop = defaultBrowser(ctx, x.Environ); desktop != "" {
			path, told = desktop, told+", for "+words.Printable(desktop)
		}
	}
	home := environ.Lookup(x.Environ, "HOME")
	if kind := sandbox(path, desktopFolders("/", home)); kind != "" {
		told += ", in a sandbox (" + kind + ") that reads no hidden folder"
	}
	return one(OK, told)
}

// defaultLimit is how long the desktop has to name its browser.
const defaultLimit = 3 * time.Second

// defaultBrowser returns the file that describes the desktop's browser, or "".
func defaultBrowser(ctx context.Context, env []string) string {
	ctx, cancel := context.WithTimeout(ctx, defaultLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "xdg-settings", "get", "default-web-browser")
	cmd.Env = environ.WithoutSecrets(env)
	cmd.WaitDelay = time.Second
	name, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// A desktopFolder holds the descriptions of applications that run in a sandbox.
type desktopFolder struct{ path, kind string }

// desktopFolders returns the folders of snap and flatpak under a root, and of flatpak in a home.
func desktopFolders(root, home string) []desktopFolder {
	const exports = "flatpak/exports/share/applications"
	folders := []desktopFolder{
		{filepath.Join(root, "var/lib/snapd/desktop/applications"), "snap"},
		{filepath.Join(root, "var/lib", exports), "flatpak"},
	}
	if home != "" {
		folders = append(folders, desktopFolder{filepath.Join(home, ".local/share", exports), "flatpak"})
	}
	return folders
}

// sandbox returns what runs a browser apart from the person's files, or "". The browser is given by the path of its
// program, or by the name of its description.
func sandbox(browser string, folders []desktopFolder) string {
	if browser == "" {
		return ""
	}
	if filepath.IsAbs(browser) {
		path, err := filepath.EvalSymlinks(browser)
		if err != nil {
			return ""
		}
		switch {
		case strings.Contains(browser+path, "/flatpak/"):
			return "flatpak"
		case strings.HasPrefix(browser, "/snap/"), strings.HasPrefix(path, "/snap/"), filepath.Base(path) == "snap":
			return "snap"
		}
		return ""
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder.path, filepath.Base(browser))); err == nil {
			return folder.kind
		}
	}
	return ""
}
