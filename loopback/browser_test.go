package loopback

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestBrowserCommand(t *testing.T) {
	t.Parallel()
	const target = "https://x.example.com/?a=b&c=$(d);e"
	for command, want := range map[string][]string{
		"firefox":                 {"firefox", target},
		"firefox --new-window":    {"firefox", "--new-window", target},
		"open -a %s":              {"open", "-a", target},
		`"my browser" 'a b' c\ d`: {"my browser", "a b", "c d", target},
		"x --url=%s --y":          {"x", "--url=" + target, "--y"},
		"  spaced   out ":         {"spaced", "out", target},
		`a "b\"c"`:                {"a", `b"c`, target},
		"":                        nil,
		`"unclosed`:               nil,
		"'":                       nil,
	} {
		if runtime.GOOS == "windows" && strings.Contains(command, `\`) {
			continue
		}
		got, err := browserCommand(command, target)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("BROWSER=%q: %q, %v", command, got, err)
		}
	}
}

func FuzzBrowserCommand(f *testing.F) {
	for _, seed := range []string{"firefox %s", `"a b" c`, `\`, "a '%s' b"} {
		f.Add(seed)
	}
	const target = "https://x.example.com/?a=b"
	f.Fuzz(func(t *testing.T, command string) {
		args, err := browserCommand(command, target)
		if err != nil {
			return
		}
		if len(args) < 2 || !strings.Contains(strings.Join(args[1:], " "), target) {
			t.Errorf("BROWSER=%q gives %q", command, args)
		}
	})
}

func TestOpenBrowser(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the script is for a shell of Unix")
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "browser")
	seen := filepath.Join(dir, "seen")
	text := "#!/bin/sh\nprintf %s \"$2\" >\"" + seen + "\"\necho noise; echo noise >&2\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROWSER", "no-such-browser-anywhere:"+script+" --tab")
	if name, err := BrowserName(); name != script {
		t.Errorf("it would be opened by %q: %v", name, err)
	}
	const target = "https://x.example.com/?a=b&c=d"
	if err := OpenBrowser(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(seen); err != nil || string(got) != target {
		t.Errorf("the browser was given %q: %v", got, err)
	}
	for _, wrong := range []string{"javascript:alert(1)", "-version", "file", ""} {
		if err := OpenBrowser(context.Background(), wrong); err == nil {
			t.Errorf("%q was opened", wrong)
		}
	}
	t.Setenv("BROWSER", "no-such-browser-anywhere")
	if err := OpenBrowser(t.Context(), target); err == nil || strings.Contains(err.Error(), target) {
		t.Errorf("got %v", err)
	}
	t.Setenv("BROWSER", "false")
	if err := OpenBrowser(t.Context(), target); err == nil {
		t.Error("a browser that fails is not noticed")
	}
}

// A browser, and all that it starts, gets none of loopkey's own secrets.
func TestBrowserApart(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the script is for a shell of Unix")
	}
	dir := t.TempDir()
	script, seen := filepath.Join(dir, "browser"), filepath.Join(dir, "seen")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nenv >\""+seen+"\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROWSER", script)
	for _, name := range []string{"LOOPKEY_CLIENT_SECRET", "AUTH0_CLIENT_SECRET", "LOOPKEY_PASSPHRASE"} {
		t.Setenv(name, "hush")
	}
	t.Setenv("KEPT", "yes")
	if err := OpenBrowser(t.Context(), "https://x.example.com/"); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	env := string(raw)
	if strings.Contains(env, "hush") || !strings.Contains(env, "KEPT=yes") {
		t.Errorf("the browser was given %s", env)
	}
}

func TestNoBrowser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems always have a display")
	}
	empty := t.TempDir()
	for name, env := range map[string]map[string]string{
		"no display":           {},
		"no launcher":          {"DISPLAY": ":7"},
		"WSL without a way":    {"WSL_DISTRO_NAME": "Debian"},
		"a BROWSER not closed": {"BROWSER": "'firefox"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, name := range []string{"BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "WSL_INTEROP"} {
				t.Setenv(name, env[name])
			}
			t.Setenv("PATH", empty)
			if name, err := BrowserName(); err == nil || name != "" {
				t.Errorf("it would be opened by %q", name)
			}
			err := OpenBrowser(t.Context(), "https://x.example.com/?secret")
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			} else if env["BROWSER"] == "" && !errors.Is(err, ErrNoBrowser) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Over SSH the browser of Windows would open on a screen that the user does not see, whatever a login or doctor asks.
func TestScreenElsewhere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this is WSL's")
	}
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	if err := os.WriteFile(filepath.Join(dir, "wslview"), []byte("#!/bin/sh\necho >\""+ran+"\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": "", "WSL_DISTRO_NAME": "Debian", "PATH": dir,
		"SSH_TTY": "/dev/pts/0",
	} {
		t.Setenv(name, value)
	}
	const target = "https://x.example.com/"
	_, named := BrowserName()
	_, window := Window{Private: true}.command(t.Context(), target)
	opened := OpenBrowser(t.Context(), target)
	for what, err := range map[string]error{"OpenBrowser": opened, "BrowserName": named, "Window": window} {
		if !errors.Is(err, ErrNoBrowser) || !strings.Contains(err.Error(), "SSH") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the browser was opened")
	}
}

// Programs of Windows, and the launchers of Linux, are found in PATH and given the URL as one argument.
func TestLaunchers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("these are of Linux and WSL")
	}
	const target = "https://x.example.com/?a=b&c=$(d)"
	for name, c := range map[string]struct {
		program string
		env     map[string]string
		target  string
		want    string
	}{
		"xdg-open": {program: "xdg-open", env: map[string]string{"DISPLAY": ":7"}, want: target},
		"Wayland":  {program: "www-browser", env: map[string]string{"WAYLAND_DISPLAY": "w"}, want: target},
		"wslview":  {program: "wslview", env: map[string]string{"WSL_DISTRO_NAME": "Debian"}, want: target},
		"rundll32.exe": {
			program: "rundll32.exe", env: map[string]string{"WSL_INTEROP": "/run/x"},
			want: "url.dll,FileProtocolHandler " + target,
		},
		"WSLg's own": {
			program: "xdg-open", env: map[string]string{"WSL_DISTRO_NAME": "Debian", "DISPLAY": ":0"}, want: target,
		},
		"our own file": {
			program: "rundll32.exe", env: map[string]string{"WSL_DISTRO_NAME": "Debian"}, target: "file:///home/ada/x.html",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			seen := filepath.Join(dir, "seen")
			text := "#!/bin/sh\nprintf %s \"$*\" >\"" + seen + "\"\n"
			if err := os.WriteFile(filepath.Join(dir, c.program), []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "WSL_INTEROP"} {
				t.Setenv(name, c.env[name])
			}
			t.Setenv("PATH", dir)
			if name, err := BrowserName(); name != filepath.Join(dir, c.program) {
				t.Errorf("it would be opened by %q: %v", name, err)
			}
			opened := target
			if c.target != "" {
				opened = c.target
			}
			err := OpenBrowser(t.Context(), opened)
			got, _ := os.ReadFile(seen)
			if string(got) != c.want || (err == nil) != (c.want != "") {
				t.Errorf("it was given %q: %v", got, err)
			}
		})
	}
}
