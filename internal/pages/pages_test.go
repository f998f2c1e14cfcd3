package pages

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/test/markup"
	"github.com/loopkey/loopkey/provider"
)

// canary is in every file that must never be served.
const canary = "canary-3f1c"

// folderOf makes a folder of these files, with forbidden ones in it and beside it.
func folderOf(t testing.TB, files map[string]string) string {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "pages")
	all := map[string]string{
		"../secret.txt": canary, "../pages-too/secret.md": canary,
		".env": canary, ".git/config": canary, "sub/.hidden/page.md": canary, "sub/.secret.md": canary,
	}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func siteOf(t testing.TB, dir string) *Site {
	t.Helper()
	site, err := New(Config{Dir: dir, Layout: &layout.Layout{HasPages: true}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = site.Close() })
	site.library.every, site.library.patience = 0, time.Hour // what a test has changed shows at once
	return site
}

// get asks p for a URL as a browser does that navigates.
func get(t testing.TB, site *Site, target string, claims provider.Claims) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return send(site, r, claims)
}

func send(site *Site, r *http.Request, claims provider.Claims) *http.Response {
	w := httptest.NewRecorder()
	r.Host = "localhost:3000"
	localhost.OwnHost(3000, "", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site.serve(w, r, claims)
	})).ServeHTTP(w, r)
	return w.Result()
}

func TestPagesServe(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{
		"guide.md":          "# The *guide*\n\nHello.\n",
		"CAPITALS.MD":       "---\ntitle: Loud\nrequire: {role: admin}\n---\n" + canary,
		"long.markdown":     "Long.\n",
		"both.html":         "exactly both",
		"both.html.md":      "# Both",
		"report.html":       "<title>Report</title><script>1</script>",
		"drawing.svg":       "<svg xmlns='http://www.w3.org/2000/svg'/>",
		"picture.png":       "\x89PNG",
		"paper.pdf":         "%PDF-1.4",
		"data.unknown":      "?",
		"data.bin":          canary,
		"data.sql":          canary,
		"with space & ä.md": "# Spaced",
		"sub/index.md":      "# The sub index",
		"site/index.html":   "<p>site</p>",
		"plain/one.md":      "# One",
		"plain/README":      "readme",
	}))
	for target, want := range map[string]struct {
		status            int
		contentType, body string
	}{
		"/pages/guide":                     {200, "text/html; charset=utf-8", "Hello."},
		"/pages/guide.md":                  {200, "text/html; charset=utf-8", "The <em>guide</em>"},
		"/pages/CAPITALS.MD":               {403, "text/html; charset=utf-8", "admin"},
		"/pages/long":                      {200, "text/html; charset=utf-8", "Long."},
		"/pages/both.html":                 {200, "text/html; charset=utf-8", "exactly both"},
		"/pages/report.html":               {200, "text/html; charset=utf-8", "Report"},
		"/pages/drawing.svg":               {200, "image/svg+xml", "<svg"},
		"/pages/picture.png":               {200, "image/png", "\x89PNG"},
		"/pages/paper.pdf":                 {200, "application/pdf", "%PDF"},
		"/pages/data.unknown":              {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/data.bin":                  {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/data.sql":                  {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/plain/README":              {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/with%20space%20&%20%C3%A4": {200, "text/html; charset=utf-8", "Spaced"},
		"/pages/sub/":                      {200, "text/html; charset=utf-8", "The sub index"},
		"/pages/site/":                     {200, "text/html; charset=utf-8", "<p>site</p>"},
		"/pages/plain/":                    {200, "text/html; charset=utf-8", "One"},
		"/pages/":                          {200, "text/html; charset=utf-8", "The guide"},
		"/pages/nothing":                   {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/nothing/":                  {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/guide.md/":                 {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/guide.md/more":             {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages//":                         {404, "text/html; charset=utf-8", "Nothing here"},
		"/pages/sub//index.md":             {404, "text/html; charset=utf-8", "Nothing here"},
	} {
		res := get(t, site, target, provider.Claims{"sub": "u"})
		body := markup.Body(t, res)
		if res.StatusCode != want.status || res.Header.Get("Content-Type") != want.contentType ||
			!strings.Contains(body, want.body) {
			t.Errorf("%s: %d %s\n%s", target, res.StatusCode, res.Header.Get("Content-Type"), body)
		}
		if strings.Contains(body, canary) {
			t.Errorf("%s shows what it must not", target)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Content-Security-Policy") == "" ||
			res.Header.Get("Cache-Control") == "" || res.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" &&
			want.status == 200 {
			t.Errorf("%s: %v", target, res.Header)
		}
	}
	if res := get(t, site, "/pages/sub", nil); res.StatusCode != http.StatusSeeOther ||
		res.Header.Get("Location") != "/pages/sub/" {
		t.Errorf("a folder without its slash: %d %s", res.StatusCode, res.Header.Get("Location"))
	}
}

// A file of the folder that a browser shows by itself must not act as a page of ours.
func TestFilesAreConfined(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{"a.html": "x", "a.svg": "x", "a.xml": "x", "a.js": "x", "a.txt": "x",
		"a.md": "x"}))
	for _, name := range []string{"a.html", "a.svg", "a.xml", "a.js", "a.txt"} {
		policy := get(t, site, "/pages/"+name, nil).Header.Get("Content-Security-Policy")
		for _, must := range []string{"sandbox ", "default-src 'none'", "form-action 'none'", "frame-ancestors 'none'",
			"base-uri 'none'"} {
			if !strings.Contains(policy, must) {
				t.Errorf("%s: no %s in %q", name, must, policy)
			}
		}
		for _, never := range []string{"allow-scripts", "allow-forms", "script-src", "connect-src"} {
			if strings.Contains(policy, never) {
				t.Errorf("%s: %s in %q", name, never, policy)
			}
		}
	}
	if policy := get(t, site, "/pages/a.md", nil).Header.Get("Content-Security-Policy"); strings.Contains(policy,
		"unsafe") {
		t.Errorf("a page of ours: %q", policy)
	}
}

func TestPagesRefuse(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, map[string]string{"ok.md": "# Ok", "sub/ok.md": "# Ok"})
	site := siteOf(t, dir)
	for _, target := range []string{
		"/pages/../secret.txt", "/pages/sub/../../secret.txt", "/pages/..", "/pages/../", "/pages/.",
		"/pages/%2e%2e/secret.txt", "/pages/..%2fsecret.txt", "/pages/%2e%2e%2fsecret.txt", "/pages/..%5csecret.txt",
		"/pages/sub%2f..%2f..%2fsecret.txt",
		"/pages/%252e%252e/secret.txt", "/pages/..%c0%afsecret.txt", "/pages/%ff", "/pages/ok.md%00.html", "/pages/ok%00",
		"/pages/%0aok.md",
		"/pages//etc/passwd", "/pages/%2fetc/passwd", "/pages/sub%5cok.md", "/pages/C:/ok.md", "/pages/c:ok.md",
		"/pages/ok.md::$DATA", "/pages/ok.md:x",
		"/pages/.env", "/pages/.git/config", "/pages/.git/", "/pages/sub/.hidden/page", "/pages/sub/.secret",
		"/pages/sub/.secret.md",
		"/pages/ok.md.", "/pages/ok.md%20", "/pages/ok.md. .", "/pages/sub./ok.md", "/pages/sub%20/ok.md",
		"/pages/GIT~1/config", "/pages/OK~1.MD",
		"/pages/%e2%80%8b.env", "/pages/.e%e2%80%8bnv", "/pages/sub/%c2%ad.secret.md", "/pages/%ef%bb%bf.env",
		"/pages/CON", "/pages/con.md", "/pages/NUL.txt", "/pages/nul.tar.gz", "/pages/COM1", "/pages/sub/lpt9.md",
		"/pages/aux%20.md", "/pages/COM%c2%b9", "/pages/CONIN$",
		"/pages/" + strings.Repeat("a", 1100), "/pages/" + strings.Repeat("a/", 600),
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.URL = u // as though no mux had cleaned it
		r.Header.Set("Accept", "text/html")
		res := send(site, r, nil)
		if body := markup.Body(t, res); res.StatusCode != http.StatusNotFound || strings.Contains(body, canary) {
			t.Errorf("%s: %d\n%s", target, res.StatusCode, body)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/pages/ok", nil)
	if res := send(site, r, nil); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

// On this system most of these names would only be missing. On another they are a device, a drive, or another name for
// what is hidden.
func TestNameOf(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"CON", "con", "Prn.md", "AUX.tar.gz", "nul.txt", "NUL .txt", "COM1", "com0.md", "sub/lpt9.md", "COM\u00b9",
		"LPT\u00b3.x", "CONIN$", "conout$.md", "clock$",
		"C:", "C:x.md", "x.md:stream", "x.md::$DATA", `sub\x.md`, `..\x`, "x.md.", "x.md ", "sub./x", "sub /x",
		"GIT~1/config", "x/SECRET~12.MD",
		"\u200b.env", ".e\u200bnv", "\u00ad.x", "\ufeff.env", "a\u202eb", ".env", "a/.b/c", "..", "a/../b", "a//b", "a/.",
		".", "./a", "/a", "a\x00", "a\x1fb", "a\x7f", "\xff",
		"\u0085", strings.Repeat("a", 1025),
	} {
		if got, ok := nameOf(Path + name); ok {
			t.Errorf("%q is taken for %q", name, got)
		}
	}
	for name, want := range map[string]string{
		"": ".", "a": "a", "a/": "a", "a/b.md": "a/b.md", "console.md": "console.md", "com.md": "com.md", "COM10": "COM10",
		"nullable.md": "nullable.md", "a b & c.md": "a b & c.md",
		"\u00e9/\u738b": "\u00e9/\u738b", "a~b": "a~b", "#a": "#a", "a.b.c": "a.b.c", "x..md": "x..md", "100%": "100%",
		"%2e%2e": "%2e%2e",
		"?":      "?",
	} {
		if got, ok := nameOf(Path + name); !ok || got != want {
			t.Errorf("%q: %q %v", name, got, ok)
		}
	}
	if _, ok := nameOf("/other/a"); ok {
		t.Error("another path than /pages/")
	}
}

// What editors and merges leave beside a page is served to nobody: it does not ask for what the page requires.
func TestBackupsAreNotServed(t *testing.T) {
	t.Parallel()
	files := map[string]string{"payroll.md": "---\nrequire: {role: hr}\n---\n" + canary}
	backups := []string{
		"payroll.md~", "payroll.md.bak", "payroll.MD.BAK", "payroll.bak", "payroll.md.orig", "payroll.html.old",
		"payroll.md.rej",
		"payroll.md.save", "payroll.md.swp", ".payroll.md.swp", "payroll.md.swo", "payroll.md.tmp", "#payroll.md#",
		".#payroll.md", "old~/payroll.html", "payroll.html~",
	}
	for _, name := range backups {
		files[name] = canary
	}
	site := siteOf(t, folderOf(t, files))
	for _, name := range backups {
		res := get(t, site, (&url.URL{Path: "/pages/" + name}).EscapedPath(), nil)
		if body := markup.Body(t, res); res.StatusCode != http.StatusNotFound || strings.Contains(body, canary) {
			t.Errorf("%s: %d\n%s", name, res.StatusCode, body)
		}
	}
	if list := markup.Body(t, get(t, site, "/pages/", nil)); strings.Contains(list, "payroll") {
		t.Errorf("listed:\n%s", list)
	}
}

func TestPagesFollowLinksInsideOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("making a symbolic link takes a privilege on Windows")
	}
	dir := folderOf(t, map[string]string{"ok.md": "# Fine", "sub/ok.md": "# Fine too",
		"guarded.md": "---\nrequire: {role: admin}\n---\n" + canary})
	for name, target := range map[string]string{
		"out.txt": "../secret.txt", "far.txt": filepath.Join(filepath.Dir(dir), "secret.txt"), "beside": "../pages-too",
		"up":         "..",
		"hidden.txt": ".env", "hiddendir": ".git", "sub/hidden.md": ".hidden/page.md", "loop": "loop", "loop1": "loop2",
		"loop2": "loop1",
		"self":  ".", "tricky": "down/../.env", "down": "sub", "bare.txt": "guarded.md", "twice": "down/../../secret.txt",
		"device":  "/dev/zero",
		"fine.md": "sub/ok.md", "finedir": "sub", "chain": "finedir",
	} {
		if err := os.Symlink(filepath.FromSlash(target), filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	site := siteOf(t, dir)
	for _, name := range []string{
		"out.txt", "far.txt", "beside/secret.md", "beside/", "up/secret.txt", "up/", "hidden.txt", "hiddendir/config",
		"sub/hidden.md", "sub/hidden", "loop", "loop1",
		"tricky", "twice", "device", "self/.env", "self/../../secret.txt",
	} {
		if res := get(t, site, "/pages/"+name, nil); res.StatusCode != http.StatusNotFound ||
			strings.Contains(markup.Body(t, res), canary) {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	for _, name := range []string{"fine", "finedir/ok", "chain/ok.md", "self/ok", "down/ok"} {
		if res := get(t, site, "/pages/"+name, nil); res.StatusCode != http.StatusOK ||
			!strings.Contains(markup.Body(t, res), "Fine") {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	// A link by another kind of name does not take off what the page asks for.
	if res := get(t, site, "/pages/bare.txt", nil); res.StatusCode != http.StatusForbidden ||
		strings.Contains(markup.Body(t, res), canary) {
		t.Errorf("a .txt that leads to a guarded page: %d", res.StatusCode)
	}
	if body := markup.Body(t, get(t, site, "/pages/", nil)); strings.Contains(body, canary) ||
		strings.Contains(body, "secret") {
		t.Errorf("the index tells of what is not served:\n%s", body)
	}
}

func TestBrokenFrontMatterClosesThePage(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{"sub/pay.md": "---\ntitle: Pay\nrequires: {role: hr}\n---\n" + canary,
		"huge.md": strings.Repeat("a ", maxMarkdown)}))
	res := get(t, site, "/pages/sub/pay", nil)
	if body := markup.Body(t, res); res.StatusCode != 500 || !strings.Contains(body, "sub/pay.md: line 3: ") ||
		strings.Contains(body, canary) {
		t.Errorf("%d\n%s", res.StatusCode, body)
	}
	if res := get(t, site, "/pages/huge", nil); res.StatusCode != 500 ||
		!strings.Contains(markup.Body(t, res), "longer than 4 MB") {
		t.Errorf("a huge file: %d", res.StatusCode)
	}
	if body := markup.Body(t, get(t, site, "/pages/", nil)); !strings.Contains(body, "cannot be read") ||
		strings.Contains(body, canary) {
		t.Errorf("the index does not say that a page is broken:\n%s", body)
	}
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{"pay ä.md": "---\nacr: [mfa, hw]\nmax_age: 5m\n---\nsalaries"}))
	now := time.Unix(1_800_000_000, 0)
	site.cfg.Now = func() time.Time { return now }
	weak := claimsOf(t, `{"sub": "u", "acr": "pwd"}`)
	strong := claimsOf(t, `{"sub": "u", "acr": "hw", "auth_time": 1799999990}`)

	res := get(t, site, "/pages/pay%20%C3%A4?a=b", weak)
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusSeeOther || to.Path != "/auth/login" ||
		strings.Contains(markup.Body(t, res), "salaries") {
		t.Fatalf("%d %v", res.StatusCode, to)
	}
	query := to.Query()
	back := "/pages/pay%20%C3%A4?a=b&stepped=1800000000"
	if query.Get("acr_values") != "mfa hw" || query.Get("max_age") != "300" || query.Get("returnTo") != back ||
		len(query) != 3 {
		t.Errorf("%v", query)
	}

	now = now.Add(time.Minute)
	res = get(t, site, back, strong)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/pages/pay%20%C3%A4?a=b" {
		t.Errorf("the mark stays in the address bar: %d %s", res.StatusCode, res.Header.Get("Location"))
	}
	if res = get(t, site, "/pages/pay%20%C3%A4?a=b", strong); res.StatusCode != 200 ||
		!strings.Contains(markup.Body(t, res), "salaries") {
		t.Errorf("%d", res.StatusCode)
	}

	// The provider did not do it: said once, not asked for ever.
	res = get(t, site, back, weak)
	body := markup.Body(t, res)
	if res.StatusCode != http.StatusForbidden || strings.Contains(body, "salaries") ||
		!strings.Contains(body, "“mfa” or “hw”") || !strings.Contains(body, "auth_time") {
		t.Errorf("%d\n%s", res.StatusCode, body)
	}
	if !strings.Contains(body, "stepped%3D"+strconv.FormatInt(now.Unix(), 10)) {
		t.Errorf("no way to try again:\n%s", body)
	}
	// A mark from an old bookmark, or a forged one, opens nothing and blocks nothing.
	for _, mark := range []string{"1700000000", "1900000000", "x", "-1", "99999999999999999999"} {
		if res = get(t, site, "/pages/pay%20%C3%A4?stepped="+mark, weak); res.StatusCode != http.StatusSeeOther {
			t.Errorf("stepped=%s: %d", mark, res.StatusCode)
		}
	}

	// What is no browser is told what to ask for (RFC 9470).
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/pages/pay%20%C3%A4", nil)
	res = send(site, r, weak)
	if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Content-Type") != "application/json" ||
		res.Header.Get("WWW-Authenticate") != `Bearer realm="loopkey", `+
			`error="insufficient_user_authentication", acr_values="mfa hw", max_age=300` {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

func TestLackingClaimIsExplained(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{
		"pay.md": "---\ntitle: Secret plan\nrequire: {https://example.com/roles: hr}\n---\nsalaries",
	}))
	res := get(t, site, "/pages/pay", claimsOf(t, `{"https://example.com/roles": ["dev", "<b>"]}`))
	body := markup.Body(t, res)
	if res.StatusCode != http.StatusForbidden || strings.Contains(body, "salaries") ||
		strings.Contains(body, "Secret plan") || strings.Contains(body, "<b>") {
		t.Errorf("%d\n%s", res.StatusCode, body)
	}
	for _, part := range []string{"“hr” in https://example.com/roles", "“dev”", "prompt=login",
		"returnTo=%2Fpages%2Fpay"} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in\n%s", part, body)
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{
		"a.md": "```\n# not this\n```\n# Alpha & *Omega* `code`", "b.md": "---\ntitle: Beta\n---\n# Other",
		"c.md": "no heading", "empty.md": "",
		"sub/d.md": "# Delta\nreport", "sub/deep/e.html": "<html><TITLE>Epsi&lt;lon</TITLE>", "paper.pdf": "x",
		"style.css": "x", "x.png": "x",
		"hr.md": "---\ntitle: Salaries\nrequire: {role: hr}\n---\n", "mfa.md": "---\nacr: mfa\n---\n# Vault",
		"plain.md": "# Plain", "plain": "x",
	}))
	titles := func(target string, claims provider.Claims) string {
		var found []string
		for _, a := range markup.Elements(t, markup.Body(t, get(t, site, target, claims)), "a") {
			if href := markup.Attribute(a, "href"); strings.HasPrefix(href, "/pages/") && href != "/pages/" &&
				!strings.HasSuffix(href, "/") && href != "/pages/?all" {
				found = append(found, strings.TrimPrefix(href, "/pages/")+"="+markup.Text(a))
			}
		}
		return strings.Join(found, "|")
	}
	for target, want := range map[string]string{
		"/pages/": "a=Alpha & Omega code|b=Beta|c=c|empty=empty|paper.pdf=paper.pdf|plain.md=Plain|" +
			"mfa=Vault|sub/d=Delta|sub/deep/e.html=Epsi<lon",
		"/pages/sub/":            "sub/d=Delta|sub/deep/e.html=Epsi<lon",
		"/pages/?q=BETA":         "b=Beta",
		"/pages/?q=alpha+code":   "a=Alpha & Omega code",
		"/pages/?q=%3Cscript%3E": "",
		"/pages/?q=report":       "sub/d=Delta",
		"/pages/?q=not+this":     "a=Alpha & Omega code",
		"/pages/?q=not+there":    "",
		"/pages/?q=salaries":     "",
		"/pages/?q=.pdf":         "paper.pdf=paper.pdf",
	} {
		if got := titles(target, provider.Claims{}); got != want {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
	}
	if got := titles("/pages/?q=salaries", provider.Claims{"role": "hr"}); got != "hr=Salaries" {
		t.Errorf("to whom may see it: %s", got)
	}
	if body := markup.Body(t, get(t, site, "/pages/?q=%3Cscript%3Ex", nil)); strings.Contains(body, "<script>x") ||
		!strings.Contains(body, "&lt;script&gt;x") {
		t.Errorf("the search is not escaped:\n%s", body)
	}
}

func TestNewWantsAFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(folderOf(t, nil), ".env")
	for _, dir := range []string{file, file + "x"} {
		if _, err := New(Config{Dir: dir}); err == nil {
			t.Errorf("%s is taken for a folder", dir)
		}
	}
	if _, err := New(Config{Dir: file + "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// FuzzPagePath asks for any path, behind a mux and without one, and looks for the canaries beside and in the folder.
func FuzzPagePath(f *testing.F) {
	dir := folderOf(f, map[string]string{"ok.md": "# Ok", "sub/ok.html": "ok"})
	if err := os.Symlink(filepath.Join("..", "secret.txt"), filepath.Join(dir, "link.txt")); err != nil &&
		runtime.GOOS != "windows" {
		f.Fatal(err)
	}
	site := siteOf(f, dir)
	mux := http.NewServeMux()
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { site.serve(w, r, nil) })
	mux.Handle("GET /pages/{path...}", bare)
	for _, seed := range []string{
		"ok", "sub/", "../secret.txt", "..\\secret.txt", "%2e%2e/secret.txt", "sub/../../secret.txt", ".env", ".git/config",
		"sub/.hidden/page", "link.txt",
		"../pages-too/secret", "/", "NUL", "a\x00b", "ok.md::$DATA", "\u200b.env", "sub/.secret.md", "...", "sub/%2e./.env",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name, ok := nameOf(Path + text); ok && name != "." {
			if path.Clean("/"+name) != "/"+name || strings.Contains("/"+name, "/.") || !filepath.IsLocal(name) {
				t.Fatalf("%q gives %q", text, name)
			}
		}
		for _, u := range []*url.URL{{Path: Path + text}, parsed(Path + text)} {
			if u == nil {
				continue
			}
			for _, handler := range []http.Handler{mux, bare} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				r.URL = u
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if strings.Contains(w.Body.String(), canary) {
					t.Fatalf("%q is served", u.Path)
				}
				if to := w.Header().Get("Location"); to != "" &&
					(!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, `/\`)) {
					t.Fatalf("%q leads to %q", u.Path, to)
				}
			}
		}
	})
}

func parsed(text string) *url.URL {
	u, err := url.ParseRequestURI(text)
	if err != nil {
		return nil
	}
	return u
}
