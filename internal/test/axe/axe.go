// Package axe runs axe-core on a page in a real browser: can everybody use it, also with a keyboard, a screen reader or
// poor eyesight?
package axe

import (
	"embed"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/internal/test/npm"
)

//go:embed package.json package-lock.json .npmrc
var files embed.FS

// Check fails the test for every rule that the page in the browser breaks.
func Check(t testing.TB, b *chromium.Browser) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(npm.Install(t, "axe", files), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	// The debugger runs the script, because the page's Content-Security-Policy allows no script but its own.
	const run = `;axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html).join(" | ")))`
	broken := chromium.Get(t, b, chromedp.Evaluate[[]string](string(script)+run, chromedp.EvalAwaitPromise))
	for _, rule := range broken {
		t.Errorf("%s breaks an accessibility rule: %s", chromium.Get(t, b, chromedp.Location()), rule)
	}
}
