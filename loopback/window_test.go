package loopback

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// inHome gives this process a home folder with browsers: their own lists of profiles, and one that is the default.
func inHome(t *testing.T) (bin string) {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the folders are others there")
	}
	home := t.TempDir()
	bin = filepath.Join(home, "bin")
	write := func(name, content string, mode os.FileMode) {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"google-chrome", "chromium", "microsoft-edge", "firefox", "lynx"} {
		write("bin/"+name, "#!/bin/sh\n", 0o700)
	}
	write("bin/xdg-settings", "#!/bin/sh\necho firefox.desktop\n", 0o700)
	write("bin/xdg-open", "#!/bin/sh\n", 0o700)
	write(".config/google-chrome/Local State",
		`{"profile": {"info_cache": {"Default": {"name": "Ada"}, "Profile 1": {"name": "Work"}, "../x": {"name": "Up"}}}}`,
		0o600)
	write(".mozilla/firefox/profiles.ini",
		"[Install1]\nName=no\n[Profile0]\nName=default-release\n[Profile1]\nName=work\n[Profile2]\nName=--evil\n", 0o600)
	write(".local/share/applications/firefox.desktop", "[Desktop Action new]\nExec=no\n[Desktop Entry]\n"+
		"Exec=env BAMF_DESKTOP_FILE_HINT=/x "+bin+"/firefox %u\n", 0o600)
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("WSL_DISTRO_NAME", "")
	t.Setenv("WSL_INTEROP", "")
	t.Setenv("DISPLAY", ":0")
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return bin
}

// The browser that opens pages is told the profile by the name that it shows, or a private window, in its own words.
func TestWindow(t *testing.T) {
	bin := inHome(t)
	const target = "https://provider.example.com/authorize?a=b"
	for name, c := range map[string]struct {
		browser string
		window  Window
		want    []string
	}{
		"Chrome": {
			"google-chrome", Window{Profile: "Work"}, []string{"google-chrome", "--profile-directory=Profile 1"},
		},
		"Chrome, by folder": {
			"google-chrome", Window{Profile: "Default"}, []string{"google-chrome", "--profile-directory=Default"},
		},
		"Chrome, both": {
			"google-chrome --x", Window{"Ada", true},
			[]string{"google-chrome", "--x", "--profile-directory=Default", "--incognito"},
		},
		"Chromium, private":  {"chromium %s", Window{Private: true}, []string{"chromium", "--incognito"}},
		"Edge, private":      {"microsoft-edge:lynx", Window{Private: true}, []string{"microsoft-edge", "--inprivate"}},
		"Firefox":            {"firefox", Window{Profile: "work"}, []string{"firefox", "-P", "work"}},
		"the default":        {"", Window{Profile: "work"}, []string{bin + "/firefox", "-P", "work"}},
		"the default, alone": {"", Window{Private: true}, []string{bin + "/firefox", "--private-window"}},
	} {
		t.Setenv("BROWSER", c.browser)
		got, err := c.window.command(t.Context(), target)
		if want := append(c.want, target); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A window that can't be opened is an error that says why, and no other window opens.
func TestNoSuchWindow(t *testing.T) {
	inHome(t)
	for name, c := range map[string]struct {
		browser string
		window  Window
		word    string
	}{
		"another browser":         {"lynx", Window{Private: true}, "lynx can't be told which window to open"},
		"the URL in the midst":    {"sh -c 'chromium %s'", Window{Private: true}, "sh can't be told"},
		"no such profile":         {"google-chrome", Window{Profile: "Home"}, `no profile "Home": it has Ada, Work`},
		"a profile of a path":     {"google-chrome", Window{Profile: "../x"}, "no profile"},
		"a profile that's a flag": {"firefox", Window{Profile: "--evil"}, "no profile"},
		"no profiles at all":      {"chromium", Window{Profile: "Work"}, `chromium has no profile "Work"`},
	} {
		t.Setenv("BROWSER", c.browser)
		err := c.window.Check(t.Context())
		if e := new(WindowError); !errors.As(err, &e) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v", name, err)
		}
		if opened := c.window.Open(t.Context(), "https://x.example.com/"); opened == nil {
			t.Errorf("%s: it is opened", name)
		}
	}
	t.Setenv("BROWSER", "")
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	if err := (Window{Private: true}).Check(t.Context()); !errors.Is(err, ErrNoBrowser) {
		t.Errorf("no display: %v", err)
	}
	if err := (Window{}).Check(t.Context()); err != nil {
		t.Errorf("any window: %v", err)
	}
	if err := (Window{Private: true}).Open(t.Context(), "javascript:alert(1)"); !errors.Is(err, errNoPage) {
		t.Errorf("a script: %v", err)
	}
}

// On macOS the browser's name is the bundle's, but only in the command that opens a bundle.
func TestKindOf(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"/usr/bin/open -n -b com.google.chrome --args": "google-chrome",
		"open -n -b org.mozilla.firefox --args":        "firefox",
		"/opt/firefox --new-window --foo":              "firefox",
		"chromium --one --two com.google.chrome":       "chromium",
		"open -a lynx":                                 "",
	} {
		b := kindOf(strings.Fields(command))
		if (b == nil) != (want == "") || b != nil && !slices.Contains(b.names, want) {
			t.Errorf("%s: %+v", command, b)
		}
	}
}
