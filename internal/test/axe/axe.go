// Package axe asks axe-core, in a real browser, whether a page can be used by
// everybody: with a keyboard, a screen reader, weak eyes.
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
	// Through the debugger, for the page's own policy lets no foreign script in.
	broken := chromium.Get(t, b, chromedp.Evaluate[[]string](string(script)+`;
		axe.run().then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html).join(" | ")))`, chromedp.EvalAwaitPromise))
	for _, rule := range broken {
		t.Errorf("%s breaks a rule of accessibility: %s", chromium.Get(t, b, chromedp.Location()), rule)
	}
}
