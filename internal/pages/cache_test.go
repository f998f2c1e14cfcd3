package pages

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/markup"
	"github.com/loopkey/loopkey/provider"
)

// settledSite is siteOf with files that count as unchanged at once, as all others do after some seconds.
func settledSite(t testing.TB, files map[string]string) (site *Site, dir string) {
	t.Helper()
	dir = folderOf(t, files)
	site = siteOf(t, dir)
	site.settling, site.library.every = -time.Hour, 0
	return site, dir
}

// rewrite gives a file other content of the same size, and the time that it had.
func rewrite(t *testing.T, file, content string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != int64(len(content)) {
		t.Fatalf("%d bytes in place of %d", len(content), info.Size())
	}
	for { // until the clock of the file system has moved on
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		if now, err := os.Stat(file); err != nil || stampOf(now) != stampOf(info) {
			return
		}
	}
}

// A page that was drawn is not shown once its file is another, whatever its times say, nor with another's name above
// it, nor to a user who may not see it.
func TestDrawnPageIsCurrent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("this system tells no more of a file than its size and when it was written")
	}
	site, dir := settledSite(t, map[string]string{
		"a.md":   "# First\n",
		"hr.md":  "---\nrequire: {role: admin}\n---\n# Payroll\n",
		"now.md": "---\nrequire: {role: clerk}\n---\n# Today\n",
	})
	name := "Ada"
	site.cfg.Layout.Visitor = func(*http.Request) (string, bool) { return name, true }
	see := func(path string, claims provider.Claims, status int, text string) {
		t.Helper()
		res := get(t, site, path, claims)
		if body := markup.Body(t, res); res.StatusCode != status || !strings.Contains(body, text) ||
			!strings.Contains(body, `class="name">`+name) {
			t.Errorf("%s: %d, without %q: %s", path, res.StatusCode, text, body)
		}
	}
	admin, clerk := provider.Claims{"role": "admin"}, provider.Claims{"role": "clerk"}
	for range 2 {
		see("/pages/a", nil, 200, "First")
		see("/pages/hr", admin, 200, "Payroll")
		see("/pages/hr", clerk, 403, "admin")
		see("/pages/now", clerk, 200, "Today")
	}
	if kept := len(site.rendered.pages); kept != 3 {
		t.Errorf("%d pages are kept", kept)
	}
	name = "Grace"
	see("/pages/a", nil, 200, "First")
	rewrite(t, filepath.Join(dir, "a.md"), "# Other\n")
	see("/pages/a", nil, 200, "Other")
	rewrite(t, filepath.Join(dir, "now.md"), "---\nrequire: {role: chief}\n---\n# Today\n")
	see("/pages/now", clerk, 403, "chief")
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if res := get(t, site, "/pages/a", nil); res.StatusCode != http.StatusNotFound { // a file of no known type comes first
		t.Errorf("the file of that very name gets %d", res.StatusCode)
	}
}

// The index reads a file once for a state of it, and shows no title of another state, nor any to a user who may not see
// its page.
func TestIndexIsCurrent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("this system tells no more of a file than its size and when it was written")
	}
	site, dir := settledSite(t, map[string]string{
		"a.md": "# First\n", "b.html": "<title>Second</title>", "hr.md": "---\nrequire: {role: admin}\n---\n# Payroll\n",
	})
	clerk := provider.Claims{"role": "clerk"}
	see := func(claims provider.Claims, titles ...string) {
		t.Helper()
		body := markup.Body(t, get(t, site, "/pages/", claims))
		for _, title := range []string{"First", "Second", "Payroll", "Third", "Other"} {
			if strings.Contains(body, ">"+title+"<") != slices.Contains(titles, title) {
				t.Errorf("the titles are not %v: %s", titles, body)
			}
		}
	}
	for range 2 {
		see(provider.Claims{"role": "admin"}, "First", "Second", "Payroll")
		see(clerk, "First", "Second")
	}
	unsettled := func(e entry) bool { return !e.settled }
	if kept := site.library.shelf.entries; len(kept) != 3 || slices.ContainsFunc(kept, unsettled) {
		t.Errorf("the files that are kept are %+v", kept)
	}
	rewrite(t, filepath.Join(dir, "a.md"), "# Third\n")
	see(clerk, "Third", "Second")
	rewrite(t, filepath.Join(dir, "hr.md"), "---\nrequire: {role: clerk}\n---\n# Payroll\n")
	see(clerk, "Third", "Second", "Payroll")
	if err := os.Remove(filepath.Join(dir, "b.html")); err != nil {
		t.Fatal(err)
	}
	see(clerk, "Third", "Payroll")
}

// What 10,000 pages cost: the first list, when nothing is known, and what is asked for once all were read. Lists and
// searches show some, however many there are. "slowest-ms" is the slowest of the requests, of which some fall into the
// time in which the folder is looked at again.
func BenchmarkLibrary(b *testing.B) {
	files := map[string]string{}
	part := strings.Repeat("Some words that follow one another, and `code`. ", 40)
	for i := range 10000 {
		n := strconv.Itoa(i)
		files["f"+strconv.Itoa(i%20)+"/page"+n+".md"] = "# Page " + n + "\n\n" + part + "\n\nThe number is x" + n + "x.\n"
	}
	dir := folderOf(b, files)
	newSite := func(b *testing.B) *Site {
		site := siteOf(b, dir)
		site.settling, site.library.every, site.library.patience = -time.Hour, lookEvery, patience
		return site
	}
	ask := func(b *testing.B, site *Site, target string) {
		b.Helper()
		if res := get(b, site, target, nil); res.StatusCode != http.StatusOK {
			b.Fatal(res.StatusCode)
		}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			site := newSite(b)
			b.StartTimer()
			ask(b, site, "/pages/")
			b.StopTimer()
			_ = site.Close()
			b.StartTimer()
		}
	})
	site := newSite(b)
	for !site.library.look(b.Context(), time.Hour).whole {
		runtime.Gosched()
	}
	for name, target := range map[string]string{
		"index": "/pages/", "folder": "/pages/f1/", "rare": "/pages/?q=x9999x", "common": "/pages/?q=words+code",
		"page": "/pages/f1/page1",
	} {
		b.Run(name, func(b *testing.B) {
			var slowest time.Duration
			for b.Loop() {
				began := time.Now()
				ask(b, site, target)
				slowest = max(slowest, time.Since(began))
			}
			b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
		})
	}
}

// A file that has just changed may change again within the same tick of its clock, so it is drawn each time.
func TestFreshFileIsNotKept(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{"a.md": "# A\n"}))
	site.settling = time.Hour
	_ = get(t, site, "/pages/a", nil).Body.Close()
	if kept := len(site.rendered.pages); kept != 0 {
		t.Errorf("%d pages are kept", kept)
	}
}

// What is kept of pages is limited, and those that are asked for stay.
func TestKeptPagesAreLimited(t *testing.T) {
	t.Parallel()
	var c rendered
	page := func() *renderedPage { return &renderedPage{content: make([]byte, maxKeptOne)} }
	for i := range 20 {
		c.put(strconv.Itoa(i), "x", page())
		if c.get("0", "x", stamp{}) == nil {
			t.Fatalf("after %d pages the one that is asked for is gone", i)
		}
		if c.size > maxKept || len(c.pages) > maxKept/maxKeptOne {
			t.Fatalf("%d bytes of %d pages are kept", c.size, len(c.pages))
		}
	}
	c.put("large", "x", &renderedPage{content: make([]byte, maxKeptOne+1)})
	if c.get("large", "x", stamp{}) != nil {
		t.Error("a page is kept that is too large")
	}
	c.put("0", "x", page())
	if c.size != len(c.pages)*maxKeptOne {
		t.Errorf("%d pages are %d bytes", len(c.pages), c.size)
	}
}

// A page that was drawn costs few allocations. To draw this one makes 2,000.
//
//nolint:paralleltest // it counts the allocations of the whole process
func TestDrawnPageCosts(t *testing.T) {
	site, _ := settledSite(t, map[string]string{"a.md": strings.Repeat("Some *text* and [a link](b.md).\n\n", 50)})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/pages/a", nil)
	allocations := testing.AllocsPerRun(100, func() {
		w := httptest.NewRecorder()
		site.serve(w, r, nil)
		if w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
	})
	if allocations > 60 {
		t.Errorf("%.0f allocations", allocations)
	}
}
