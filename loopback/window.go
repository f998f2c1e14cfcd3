package loopback

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
)

// A Window says in which window of the user's browser a page is opened, where the browser knows another account of the
// provider. The zero Window is any: see OpenBrowser.
type Window struct {
	Profile string // of the browser, by the name that it shows or the folder that it has; "": the one used last
	Private bool   // a private window, which knows no account
}

// A WindowError says that the browser can't open the Window that was asked for.
type WindowError struct {
	Browser  string   // its command; "": it is not known which browser the user has
	Profile  string   // the one that it lacks; "": it can open no such window
	Profiles []string // those that it has
}

func (e *WindowError) Error() string {
	switch {
	case e.Browser == "":
		return "it is not known which browser opens pages here"
	case e.Profile == "":
		return fmt.Sprintf("%s can't be told which window to open", words.Printable(e.Browser))
	}
	text := fmt.Sprintf("%s has no profile %q", words.Printable(e.Browser), words.Printable(e.Profile))
	if len(e.Profiles) > 0 {
		text += ": it has " + words.Printable(strings.Join(e.Profiles, ", "))
	}
	return text
}

// Check reports whether the user's browser can open the window. Its errors are a *WindowError, or wrap ErrNoBrowser.
func (w Window) Check(ctx context.Context) error {
	if w == (Window{}) {
		return nil
	}
	_, err := w.command(ctx, urlMark)
	return err
}

// Open is OpenBrowser for the window. It opens no other one. The browser is that of $BROWSER, else the default one; it
// has to be Chrome, Chromium, Edge, Brave, Vivaldi or Firefox. Its errors are those of Check.
func (w Window) Open(ctx context.Context, target string) error {
	if w == (Window{}) {
		return OpenBrowser(ctx, target)
	}
	if !isPage(target) {
		return errNoPage
	}
	args, err := w.command(ctx, target)
	if err != nil {
		return err
	}
	return launch(ctx, args)
}

// command returns the command that opens a page in the window.
func (w Window) command(ctx context.Context, target string) ([]string, error) {
	browser, err := userBrowser(ctx)
	if err != nil {
		return nil, err
	}
	b := kindOf(browser)
	if b == nil {
		return nil, &WindowError{Browser: filepath.Base(browser[0])}
	}
	args := slices.Clone(browser)
	if w.Profile != "" {
		folder, err := b.profile(w.Profile)
		if err != nil {
			return nil, err
		}
		args = append(args, b.inProfile(folder)...)
	}
	if w.Private {
		args = append(args, b.private)
	}
	return append(args, target), nil
}

// userBrowser returns the command of the user's browser without a URL: the first of $BROWSER, else that of the default
// browser.
func userBrowser(ctx context.Context) ([]string, error) {
	value := os.Getenv("BROWSER")
	if value == "" {
		if err := noScreen(); err != nil {
			return nil, err
		}
		if inWSL() {
			return nil, &WindowError{} // the browser of Windows, which its launcher knows
		}
		if _, err := platformBrowser(); err != nil {
			return nil, err
		}
		if command := defaultBrowser(ctx); command != nil {
			return command, nil
		}
		return nil, &WindowError{}
	}
	commands, err := browserCommands(value, urlMark)
	if err != nil {
		return nil, fmt.Errorf("BROWSER: %w", err)
	}
	command := commands[0]
	if len(command) < 2 || command[len(command)-1] != urlMark { // the URL stands in the midst of it
		return nil, &WindowError{Browser: filepath.Base(command[0])}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoBrowser, words.Printable(command[0]), bare(err))
	}
	return command[:len(command)-1], nil
}

// urlMark stands for the URL in a command that is taken apart.
const urlMark = "http://localhost/"

// A browserKind is how a browser is told which window to open.
type browserKind struct {
	names   []string // in its command, or in the name of its desktop file; the first that is found counts
	private string   // its flag for a private window
	folders []string // of its profiles, by system: under the user's configuration; Firefox: under the home folder
	firefox bool
}

// browserKinds returns the browsers that can be told.
func browserKinds() []browserKind {
	return []browserKind{
		{
			names: []string{"microsoft-edge", "msedge", "com.microsoft.edgemac"}, private: "--inprivate",
			folders: []string{"microsoft-edge", "Microsoft Edge", `Microsoft\Edge\User Data`},
		},
		{
			names: []string{"brave"}, private: "--incognito", folders: []string{
				"BraveSoftware/Brave-Browser", "BraveSoftware/Brave-Browser", `BraveSoftware\Brave-Browser\User Data`,
			},
		},
		{names: []string{"vivaldi"}, private: "--incognito", folders: []string{"vivaldi", "Vivaldi", `Vivaldi\User Data`}},
		{
			names: []string{"chromium"}, private: "--incognito",
			folders: []string{"chromium", "Chromium", `Chromium\User Data`},
		},
		{
			names: []string{"google-chrome", "chrome", "com.google.chrome"}, private: "--incognito",
			folders: []string{"google-chrome", "Google/Chrome", `Google\Chrome\User Data`},
		},
		{
			names: []string{"firefox", "librewolf"}, private: "--private-window", firefox: true,
			folders: []string{".mozilla/firefox", "Library/Application Support/Firefox", `Mozilla\Firefox`},
		},
	}
}

// kindOf returns the kind of a browser by its command, or nil.
func kindOf(command []string) *browserKind {
	name := strings.ToLower(filepath.Base(command[0]))
	if len(command) > 3 && name == "open" && command[2] == "-b" { // macOS: open -n -b BUNDLE --args
		name = strings.ToLower(command[3])
	}
	for _, b := range browserKinds() {
		if slices.ContainsFunc(b.names, func(part string) bool { return strings.Contains(name, part) }) {
			return &b
		}
	}
	return nil
}

// inProfile returns the flags that choose a profile.
func (b *browserKind) inProfile(folder string) []string {
	if b.firefox {
		return []string{"-P", folder}
	}
	return []string{"--profile-directory=" + folder}
}

// profile returns what the browser itself calls a profile. A profile that is not there would be made by Chrome, empty.
func (b *browserKind) profile(name string) (string, error) {
	shown := b.profiles()
	var all []string
	for _, p := range shown {
		if p.shown == name || p.folder == name {
			return p.folder, nil
		}
		all = append(all, p.shown)
	}
	return "", &WindowError{Browser: b.names[0], Profile: name, Profiles: all}
}

// A browserProfile is a profile as the browser shows it, and as its flag names it.
type browserProfile struct{ shown, folder string }

// folder returns where the browser has its profiles.
func (b *browserKind) folder() string {
	system := map[string]int{"darwin": 1, "windows": 2}[runtime.GOOS]
	var base string
	var err error
	switch {
	case b.firefox && runtime.GOOS != "windows":
		base, err = os.UserHomeDir()
	case runtime.GOOS == "windows" && !b.firefox:
		base, err = os.UserCacheDir() // %LocalAppData%
	default:
		base, err = os.UserConfigDir()
	}
	if err != nil {
		return ""
	}
	return filepath.Join(base, filepath.FromSlash(b.folders[system]))
}

// mostProfiles is how large the browser's own list of profiles may be.
const mostProfiles = 8 << 20

// profiles returns the profiles of the browser, by its own list.
func (b *browserKind) profiles() []browserProfile {
	name := "Local State"
	if b.firefox {
		name = "profiles.ini"
	}
	content, _, err := private.ReadRegular(filepath.Join(b.folder(), name), mostProfiles)
	if err != nil {
		return nil
	}
	if b.firefox {
		return profilesOfFirefox(string(content))
	}
	return profilesOfChrome(content)
}

// profilesOfChrome reads a "Local State".
func profilesOfChrome(content []byte) []browserProfile {
	var state struct {
		Profile struct {
			Cache map[string]struct {
				Name string `json:"name"`
			} `json:"info_cache"`
		} `json:"profile"`
	}
	if json.Unmarshal(content, &state) != nil {
		return nil
	}
	var all []browserProfile
	for folder, info := range state.Profile.Cache {
		if !strings.ContainsAny(folder, `/\`) {
			all = append(all, browserProfile{info.Name, folder})
		}
	}
	slices.SortFunc(all, func(a, b browserProfile) int { return strings.Compare(a.folder, b.folder) })
	return all
}

// profilesOfFirefox reads a profiles.ini.
func profilesOfFirefox(content string) []browserProfile {
	var all []browserProfile
	profile := false
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			profile = strings.HasPrefix(line, "[Profile")
		}
		if name, ok := strings.CutPrefix(line, "Name="); ok && profile && name != "" && !strings.HasPrefix(name, "-") {
			all = append(all, browserProfile{name, name})
		}
	}
	return all
}
