package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/axe"
	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/vite"
)

// A real Vite app works behind the guard at /, and a change to its files shows on the open page without a reload: the
// WebSocket for that is at / too. loopkey's own pages are a link away.
func TestViteInChromium(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		fresh := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(fresh, filepath.Join(folder, name)); err != nil { // Vite never sees half a file
			t.Fatal(err)
		}
	}
	write("index.html", `<!doctype html><html lang="en"><title>Vite</title><main>none</main>`+
		`<script type="module" src="/app.js"></script></html>`)
	app := func(says string) {
		t.Helper()
		write("app.js", `const main = document.querySelector("main");
			main.id = main.textContent = "`+says+`"; import.meta.hot.accept();`)
	}
	app("one")
	target := vite.Start(t, folder)
	browser := chromium.Start(t)
	h := house.WithTenant(t)
	h.Must("login")
	oneTime := h.Serve("--upstream", target)
	css := func(s string) chromedp.CSS { return chromedp.CSS(s) }
	browser.Do(t, chromedp.Navigate(oneTime), chromedp.WaitVisible(css("#one")),
		chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.stayed = true`))
			return err
		}))
	app("two")
	browser.Do(t, chromedp.WaitVisible(css("#two")))
	if !chromium.Get(t, browser, chromedp.Evaluate[bool](`window.stayed === true`)) {
		t.Error("the page was reloaded")
	}
	for _, path := range []string{"/auth/", "/profile"} {
		browser.Do(t, chromedp.Navigate(h.Base+path), chromedp.WaitVisible(css(`nav a[href="/"]`)))
		for _, scheme := range []string{"light", "dark"} {
			browser.Do(t, prefer(scheme))
			axe.Check(t, browser)
		}
	}
	browser.Do(t, chromedp.Click(css(`nav a[href="/auth/"]`)), chromedp.WaitVisible(css(`a.button[href="/"]`)),
		chromedp.Click(css(`a.button[href="/"]`)), chromedp.WaitVisible(css("#two")))
	// A logout shows on loopkey's pages, and closes the app's.
	browser.Do(t, chromedp.Navigate(h.Base+"/auth/"), chromedp.WaitVisible(css("header .who")))
	h.Must("logout", "--no-browser")
	browser.Do(t, chromedp.WaitVisible(css(`a.button[href="/auth/login"]`)),
		chromedp.Navigate(h.Base+"/"), chromedp.WaitVisible(css(`a.button[href="/auth/login"]`)))
	if complaints := browser.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}
