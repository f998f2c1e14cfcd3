package loopback

import (
	"context"
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
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf %s \"$2\" >\""+seen+"\"\necho noise; echo noise >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BROWSER", script+" --tab")
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
