package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// A login is made in the profile of the browser, or the private window, that the flags or the profile name, and the
// logout there too. Where the browser can't, nothing is opened.
func TestBrowserWindow(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the browser is a script, and its folder that of Linux")
	}
	h := house.WithTenant(t)
	chrome, args := filepath.Join(h.Dir, "google-chrome"), filepath.Join(h.Dir, "args")
	state := filepath.Join(h.Dir, ".config", "google-chrome", "Local State")
	if err := os.MkdirAll(filepath.Dir(state), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		chrome: "#!/bin/sh\necho \"$@\" >>" + args + "\nfor last; do :; done\nexec " + house.Visitor(t) + " \"$last\"\n",
		state:  `{"profile": {"info_cache": {"Default": {"name": "Ada"}, "Profile 1": {"name": "Work"}}}}`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	opened := func() string {
		content, err := os.ReadFile(args)
		if err != nil {
			return ""
		}
		_ = os.Remove(args)
		return string(content)
	}
	other := h
	h = h.With("BROWSER="+chrome, "XDG_CONFIG_HOME=")
	h.Must("login", "--browser-profile", "Work")
	if got := opened(); !strings.HasPrefix(got, "--profile-directory=Profile 1 http://") {
		t.Errorf("the browser got %q", got)
	}
	house.Refused(t, h.Run("login", "--browser-profile", "Home"), 2,
		`no profile "Home": it has Ada, Work`, "leave --browser-profile and --private out")
	house.Refused(t, h.Run("login", "--browser-profile", "-x"), 2, "no name of a browser's profile")
	if got := opened(); got != "" {
		t.Errorf("the browser got %q", got)
	}
	house.Refused(t, other.Run("login", "--private"), 2, "visit can't be told which window to open", "--no-browser")
	h.Configure(h.Tenant.Issuer(), `browser_profile = "Ada"`, "private_window = true")
	h.Must("login")
	h.Must("logout")
	if got := strings.Split(strings.TrimSpace(opened()), "\n"); len(got) != 2 ||
		!strings.HasPrefix(got[0], "--profile-directory=Default --incognito http://") ||
		!strings.HasPrefix(got[1], "--profile-directory=Default --incognito http://") {
		t.Errorf("the browser got %q", got)
	}
	h.Must("login", "--private=false", "--browser-profile", "Work")
	if got := opened(); !strings.HasPrefix(got, "--profile-directory=Profile 1 http://") {
		t.Errorf("the browser got %q", got)
	}
}
