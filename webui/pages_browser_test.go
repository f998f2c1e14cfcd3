package webui

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/provider"
)

// chromium returns a tab of a real browser, which goes to no host but this one.
func chromium(t *testing.T) context.Context {
	t.Helper()
	var binary string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			binary = found
			break
		}
	}
	if binary == "" {
		if os.Getenv("LOOPKEY_TEST_REAL") == "1" {
			t.Fatal("no Chromium is installed")
		}
		t.Skip("no Chromium is installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.UserDataDir(t.TempDir()))
	for _, name := range []string{"no-sandbox", "disable-gpu", "disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(name, true))
	}
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil { // the first call may set no limit
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(tab, 30*time.Second)
	t.Cleanup(cancel)
	return limited
}

// behindCookie serves handler to who has the cookie that /enter gives, as the guard does.
func behindCookie(t *testing.T, handler http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /enter", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: cookiePrefix + "test", Value: "x", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	})
	mux.HandleFunc("GET "+layout.AssetsPath+"{name}", layout.ServeAsset)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie(cookiePrefix + "test"); err != nil {
			http.Error(w, "no cookie", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// An HTML file gets its style sheet and pictures, for which the browser has to
// send the cookie, and runs no script, of its own or in a picture opened by itself.
func TestFilesInTheBrowser(t *testing.T) {
	t.Parallel()
	tab := chromium(t)
	p := pagesOf(t, folderOf(t, map[string]string{
		"report.html": `<!doctype html><title>still</title><link rel="stylesheet" href="report.css"><body onload="document.title='ran'">` +
			`<img src="pic.svg" alt=""><script src="report.js"></script><script>document.title='ran'</script><p style="font-weight:700">x</p>`,
		"report.css": "body { color: rgb(1, 2, 3) }",
		"report.js":  "document.title = 'ran'",
		"pic.svg":    `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="60"><title>still</title><script>document.querySelector('title').textContent='ran'</script></svg>`,
		"page.md":    "# Page\n\n![pic](pic.svg)\n",
	}))
	base := behindCookie(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, provider.Claims{}) }))
	if err := chromedp.Do(tab, chromedp.Navigate(base+"/enter")); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{"/pages/report.html": "still|rgb(1, 2, 3)|200|700", "/pages/pic.svg": "still|||", "/pages/page": "Page · loopkey|rgb(|200|"} {
		if err := chromedp.Do(tab, chromedp.Navigate(base+target)); err != nil {
			t.Fatal(err)
		}
		got, err := chromedp.Run(tab, chromedp.Evaluate[string](`[document.title, document.body ? getComputedStyle(document.body).color : "",
			document.images?.[0]?.naturalWidth, document.querySelector("p[style]") ? getComputedStyle(document.querySelector("p[style]")).fontWeight : ""].join("|")`))
		if err != nil {
			t.Fatal(err)
		}
		wants, gots := strings.Split(want, "|"), strings.Split(got, "|")
		for i := range wants {
			if !strings.HasPrefix(gots[i], wants[i]) || wants[i] == "" && gots[i] != "" {
				t.Errorf("%s: %s, want %s", target, got, want)
				break
			}
		}
	}
}
