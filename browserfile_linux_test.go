package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// Where the system does not tell whose a connection is, the browser is given a file that a browser in a sandbox can
// read, and that is gone when the browser was there.
func TestBrowserFile(t *testing.T) {
	t.Parallel()
	if localhost.TellsOwn(t.Context()) {
		part.Missing(t, "for this user the system tells: root has a browser's file")
	}
	browser := chromium.Start(t)
	h := house.WithTenant(t)
	downloads := filepath.Join(h.Dir, "Downloads")
	if err := os.Mkdir(downloads, 0o755); err != nil {
		t.Fatal(err)
	}
	script, opened := filepath.Join(h.Dir, "browser"), filepath.Join(h.Dir, "opened")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf %s \"$1\" >'"+opened+"'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(opened, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Must("login")
	h = h.With("BROWSER=" + script)
	open := func() {
		t.Helper()
		target, err := os.ReadFile(opened)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(string(target))
		if err != nil || u.Scheme != "file" || filepath.Dir(filepath.Dir(u.Path)) != downloads {
			t.Fatalf("the browser is given %s", target)
		}
		for path, mode := range map[string]os.FileMode{u.Path: 0o600, filepath.Dir(u.Path): 0o700 | os.ModeDir} {
			if info, err := os.Stat(path); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		browser.Do(t, chromedp.Navigate(u.String()), chromedp.WaitVisible(chromedp.CSS(`a[href="/profile"]`)))
		if text := chromium.Get(t, browser, chromedp.Text(chromedp.CSS("main"))); !strings.Contains(text, "Ada Lovelace") {
			t.Errorf("the file leads to %q", text)
		}
	}
	empty := func() bool {
		left, err := os.ReadDir(downloads)
		return err == nil && len(left) == 0
	}
	h.Start("serve").Line(t, "Serving")
	open()
	for deadline := time.Now().Add(2 * time.Minute); !empty(); {
		if time.Now().After(deadline) {
			t.Fatal("the file stays though the browser was there")
		}
	}
	again := h.Start("serve") // which finds the first one, and waits for the browser
	again.Line(t, "Serving")
	open()
	if err := again.Cmd.Wait(); err != nil {
		t.Errorf("the second serve: %v", err)
	}
	if !empty() {
		t.Error("the second serve leaves its file behind")
	}
}
