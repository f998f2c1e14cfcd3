package loopback

import (
	"context"
	"strings"

	"golang.org/x/sys/windows/registry"
)

// defaultBrowser returns the command of the user's default browser, without a URL, or nil.
func defaultBrowser(context.Context) []string {
	id := registered(registry.CURRENT_USER,
		`Software\Microsoft\Windows\Shell\Associations\UrlAssociations\https\UserChoice`, "ProgId")
	for _, b := range []struct{ id, program string }{
		{"ChromeHTML", "chrome.exe"}, {"MSEdgeHTM", "msedge.exe"}, {"FirefoxURL", "firefox.exe"},
		{"BraveHTML", "brave.exe"}, {"VivaldiHTM", "vivaldi.exe"}, {"ChromiumHTM", "chromium.exe"},
	} {
		if !strings.HasPrefix(id, b.id) {
			continue
		}
		for _, root := range []registry.Key{registry.CURRENT_USER, registry.LOCAL_MACHINE} {
			if path := registered(root, `Software\Microsoft\Windows\CurrentVersion\App Paths\`+b.program, ""); path != "" {
				return []string{strings.Trim(path, `"`)}
			}
		}
	}
	return nil
}

// registered returns a text of the registry, or "".
func registered(root registry.Key, path, name string) string {
	key, err := registry.OpenKey(root, path, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer key.Close()
	text, _, err := key.GetStringValue(name)
	if err != nil {
		return ""
	}
	return text
}
