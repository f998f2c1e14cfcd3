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

// $BROWSER may name several commands, as other programs read it.
func TestBrowserCommands(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the separator is another one there")
	}
	const target = "https://x.example.com/?a=b:c&d=%s"
	for value, want := range map[string][][]string{
		"firefox:chromium --new":        {{"firefox", target}, {"chromium", "--new", target}},
		":firefox::":                    {{"firefox", target}},
		"firefox %s &":                  {{"firefox", target}},
		"firefox&":                      {{"firefox", target}},
		"firefox & : chromium '%s' &":   {{"firefox", target}, {"chromium", target}},
		"'/opt/a:b/firefox' --x='c:&'":  {{"/opt/a:b/firefox", "--x=c:&", target}},
		`/opt/a\:b/firefox \&`:          {{"/opt/a:b/firefox", "&", target}},
		"x --app=http://a.example.com ": {{"x", "--app=http://a.example.com", target}},
		"a & b":                         {{"a", "&", "b", target}},
		"'unclosed : chromium":          nil,
		"':chromium":                    nil,
		":":                             nil,
		"&":                             nil,
	} {
		got, err := browserCommands(value, target)
		if !slices.EqualFunc(got, want, slices.Equal[[]string]) || (err == nil) != (want != nil) {
			t.Errorf("BROWSER=%q: %q, %v", value, got, err)
		}
	}
}

// Of the commands in $BROWSER the first that works opens the URL.
func TestBrowserList(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the script is for a shell of Unix")
	}
	dir := t.TempDir()
	script, seen := filepath.Join(dir, "browser"), filepath.Join(dir, "seen")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf %s \"$*\" >>\""+seen+"\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROWSER", "no-such-browser:false:"+script+" --tab %s &:"+script+" again")
	const target = "https://x.example.com/?a=b&c=d"
	if err := OpenBrowser(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(seen); err != nil || string(got) != "--tab "+target {
		t.Errorf("the browser was given %q: %v", got, err)
	}
	t.Setenv("BROWSER", "no-such-browser:false")
	if err := OpenBrowser(t.Context(), target); !errors.Is(err, ErrNoBrowser) || strings.Contains(err.Error(), target) {
		t.Errorf("got %v", err)
	}
}

// What Windows runs through a shell gets no URL: the shell would run parts of it.
func TestNoShellBrowser(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this is WSL's")
	}
	dir := t.TempDir()
	t.Setenv("WSL_DISTRO_NAME", "Debian")
	for _, name := range []string{"open.bat", "OPEN.CMD", "cmd.exe", "powershell.exe", "pwsh.exe"} {
		program, ran := filepath.Join(dir, name), filepath.Join(dir, "ran")
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho >\""+ran+"\"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("BROWSER", program+" /c start")
		err := OpenBrowser(t.Context(), "https://x.example.com/?a=b&calc.exe")
		if !errors.Is(err, ErrNoBrowser) || !strings.Contains(err.Error(), "shell") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(ran); err == nil {
			t.Errorf("%s was run", name)
		}
	}
	for path, want := range map[string]bool{
		`C:\tools\open.bat`: true, `C:\Windows\System32\cmd.exe`: true, "x.Cmd": true,
		`C:\cmd.exe\firefox.exe`: false, "/usr/bin/firefox": false, "bat": false, "": false,
	} {
		if runsShell(path) != want {
			t.Errorf("%q", path)
		}
	}
}
