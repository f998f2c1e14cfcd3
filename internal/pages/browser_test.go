package pages

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/provider"
)

// An HTML file gets its style sheet and pictures, for which the browser has to send the cookie, and runs no script, of
// its own or in a picture opened by itself.
func TestFilesInTheBrowser(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	site := siteOf(t, folderOf(t, map[string]string{
		"report.html": `<!doctype html><title>still</title><link rel="stylesheet" href="report.css">` +
			`<body onload="document.title='ran'"><img src="pic.svg" alt=""><script src="report.js"></script>` +
			`<script>document.title='ran'</script><p style="font-weight:700">x</p>`,
		"report.css": "body { color: rgb(1, 2, 3) }",
		"report.js":  "document.title = 'ran'",
		"pic.svg": `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="60"><title>still</title>` +
			`<script>document.querySelector('title').textContent='ran'</script></svg>`,
		"page.md": "# Page\n\n![pic](pic.svg)\n",
	}))
	// /enter gives the cookie that every file asks for, as the guard does.
	mux := http.NewServeMux()
	mux.HandleFunc("GET /enter", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "test", Value: "x", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	})
	mux.HandleFunc("GET "+layout.AssetsPath+"{name}", layout.ServeAsset)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("test"); err != nil {
			http.Error(w, "no cookie", http.StatusUnauthorized)
			return
		}
		site.serve(w, r, provider.Claims{})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	browser.Do(t, chromedp.Navigate(base+"/enter"))
	for target, want := range map[string]string{
		"/pages/report.html": "still|rgb(1, 2, 3)|200|700", "/pages/pic.svg": "still|||",
		"/pages/page": "Page · loopkey|rgb(|200|",
	} {
		browser.Do(t, chromedp.Navigate(base+target))
		got := chromium.Get(t, browser, chromedp.Evaluate[string](`[
			document.title,
			document.body ? getComputedStyle(document.body).color : "",
			[...(document.images ?? [])].at(-1)?.naturalWidth,
			document.querySelector("p[style]") ? getComputedStyle(document.querySelector("p[style]")).fontWeight : "",
		].join("|")`))
		wants, gots := strings.Split(want, "|"), strings.Split(got, "|")
		for i := range wants {
			if !strings.HasPrefix(gots[i], wants[i]) || wants[i] == "" && gots[i] != "" {
				t.Errorf("%s: %s, want %s", target, got, want)
				break
			}
		}
	}
}
