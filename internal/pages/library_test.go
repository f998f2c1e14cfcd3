package pages

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/markup"
	"github.com/loopkey/loopkey/provider"
)

// texts returns the texts of the elements of that name, each followed by its link where it has one.
func texts(t *testing.T, page, name string) string {
	t.Helper()
	var all []string
	for _, n := range markup.Elements(t, page, name) {
		text := strings.Join(strings.Fields(markup.Text(n)), " ")
		if href := markup.Attribute(n, "href"); href != "" {
			text += "=" + href
		}
		all = append(all, text)
	}
	return strings.Join(all, "|")
}

// A search finds what pages show, says where, and finds nothing of what the user may not see.
func TestSearchInText(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{
		"a.md": "# Alpha\n\nThe *quick* brown [fox](https://hidden.example) jumps. <!-- secretly --> " +
			strings.Repeat("More and more words follow. ", 20),
		"fox.md":      "# Of foxes\n\nnothing\n",
		"deep/b.html": "<title>B</title><style>lazyfox</style><p>A Quick &amp; lazy dog<script>evilfox</script>",
		"hr.md":       "---\nrequire: {role: hr}\n---\n# Pay\n\nquick money\n",
		"data.csv":    "who,what\nfox,<b>quick\u202e</b>\n", "İ.md": "# İstanbul\n\nquick İ\n",
	}))
	for query, want := range map[string]string{
		"quick fox":                           "data.csv=/pages/data.csv?view|Alpha=/pages/a",
		"QUICK+lazy":                          "B=/pages/deep/b.html",
		"foxes":                               "Of foxes=/pages/fox",
		"secretly":                            "",
		"evilfox":                             "",
		"lazyfox":                             "",
		"money":                               "",
		"deep":                                "B=/pages/deep/b.html",
		"%20":                                 "",
		"fox nothing":                         "Of foxes=/pages/fox",
		"istanbul":                            "İstanbul=/pages/%C4%B0",
		"quick " + strings.Repeat("fox ", 60): "Alpha=/pages/a|data.csv=/pages/data.csv?view",
	} {
		body := markup.Body(t, get(t, site, "/pages/?q="+strings.ReplaceAll(query, " ", "+"), provider.Claims{}))
		got := ""
		for _, list := range markup.Elements(t, body, "ol") {
			for n := range list.Descendants() {
				if n.Data == "a" {
					got += "|" + markup.Text(n) + "=" + markup.Attribute(n, "href")
				}
			}
		}
		if got = strings.TrimPrefix(got, "|"); got != want && !sameLines(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", query, got, want)
		}
		if strings.Contains(body, "\u202e") || strings.Contains(body, "<b>quick") || strings.Contains(body, "secretly ") {
			t.Errorf("%s: what no page shows is in %s", query, body)
		}
	}
	body := markup.Body(t, get(t, site, "/pages/?q=jumps+quick", provider.Claims{}))
	if got := texts(t, body, "mark"); got != "quick|jumps" {
		t.Errorf("%q is marked", got)
	}
	if !strings.Contains(body, `<mark>quick</mark> brown fox <mark>jumps</mark>. More and more`) ||
		strings.Count(body, "follow.") > 8 || !strings.Contains(body, " …</bdi>") {
		t.Errorf("the excerpt is in %s", body)
	}
	if body := markup.Body(t, get(t, site, "/pages/?q=money", provider.Claims{"role": "hr"})); !strings.Contains(body,
		"quick <mark>money</mark>") {
		t.Errorf("who may see it gets %s", body)
	}
}

// Of a page that asks for another login a search knows the title, and neither finds nor shows what it says.
func TestSearchOfStepUp(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{"pay.md": "---\nacr: mfa\n---\n# Pay\n\nADA-EARNS-much money\n"}))
	search := func(query string, claims provider.Claims) string {
		return markup.Body(t, get(t, site, "/pages/?q="+query, claims))
	}
	if body := search("money", provider.Claims{"acr": "pwd"}); strings.Contains(body, "/pages/pay") {
		t.Errorf("its text is found: %s", body)
	}
	if body := search("pay", provider.Claims{"acr": "pwd"}); strings.Contains(body, "EARNS") ||
		!strings.Contains(body, `href="/pages/pay"`) || !strings.Contains(body, "asks for another login") {
		t.Errorf("by its title, what is found is %s", body)
	}
	if body := search("money", provider.Claims{"acr": "mfa"}); !strings.Contains(body, "ADA-EARNS-much <mark>money") {
		t.Errorf("after the other login, what is found is %s", body)
	}
}

// sameLines reports whether two lists have the same elements.
func sameLines(a, b string) bool {
	x, y := strings.Split(a, "|"), strings.Split(b, "|")
	for _, line := range x {
		if !strings.Contains("|"+b+"|", "|"+line+"|") {
			return false
		}
	}
	return len(x) == len(y)
}

// The first list waits for nothing: it says that the folder is being read, and what was found so far. What was found
// by the end is what is there.
func TestFirstListIsAtOnce(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 3 * publishAt {
		files["f"+strconv.Itoa(i%3)+"/p"+strconv.Itoa(i)+".md"] = "# P\n\ntext" + strconv.Itoa(i) + "x\n"
	}
	site := siteOf(t, folderOf(t, files))
	site.library.patience = 0
	if body := markup.Body(t, get(t, site, "/pages/", nil)); !strings.Contains(body, "data-again") ||
		strings.Contains(body, "nothing to read") {
		t.Errorf("the first list is %s", body)
	}
	for !site.library.look(t.Context(), time.Hour).whole {
		runtime.Gosched()
	}
	site.library.every, site.library.patience = time.Hour, time.Hour
	body := markup.Body(t, get(t, site, "/pages/", nil))
	if strings.Contains(body, "data-again") || texts(t, body, "h2") != "f0 500|f1 500|f2 500" {
		t.Errorf("the whole list is %s", body)
	}
	if body := markup.Body(t, get(t, site, "/pages/f1/", nil)); strings.Count(body, "<li>") > maxListed+10 ||
		!strings.Contains(body, "more files than are listed") {
		t.Errorf("the list of a folder has %d lines", strings.Count(body, "<li>"))
	}
	if body := markup.Body(t, get(t, site, "/pages/?q=text", nil)); !strings.Contains(body, "1500 pages for") ||
		!strings.Contains(body, ", of which these are the first 30.") ||
		strings.Count(body, "<mark>") != maxFound {
		t.Errorf("a search shows %d of what it finds", strings.Count(body, "<mark>"))
	}
}

// The memory for text has a limit. Beyond it a page is found by its title.
func TestTextIsLimited(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{"a.md": "# A\n\nword\n"}))
	_, info, err := site.find("a.md")
	if err != nil {
		t.Fatal(err)
	}
	for room, want := range map[int]bool{maxText: true, 3: false} {
		if got := strings.Contains(site.read("a.md", "a.md", info, room).lower, "word"); got != want {
			t.Errorf("with room for %d bytes the text is kept: %v", room, got)
		}
	}
}

// A folder's own page is what one sees first; the list of everything is a link away.
func TestLanding(t *testing.T) {
	t.Parallel()
	site := siteOf(t, folderOf(t, map[string]string{
		"index.md": "# Handbook\n\nWelcome.\n", "a.md": "# Alpha\n", "sub/README.md": "# Sub\n", "sub/b.md": "# Beta\n",
	}))
	for target, want := range map[string]string{
		"/pages/": "Welcome.", "/pages/?all": "All pages", "/pages/?q=alpha": "1 page for", "/pages/sub/": ">Sub <",
		"/pages/sub/?all": "Beta",
	} {
		if body := markup.Body(t, get(t, site, target, nil)); !strings.Contains(body, want) {
			t.Errorf("%s has no %q: %s", target, want, body)
		}
	}
}

// Beside a page are the others that its user may see, as they are, also where the page was drawn before.
func TestContents(t *testing.T) {
	t.Parallel()
	site, dir := settledSite(t, map[string]string{
		"index.md": "# Handbook\n", "sub/a.md": "# Alpha\n\n## One\n\n### Two & *two*\n\n## Three\n", "sub/b.md": "# Beta\n",
		"hr.md": "---\nrequire: {role: hr}\n---\n# Salaries\n", "other/data.csv": "a,b\n",
	})
	see := func(claims provider.Claims, want string) {
		t.Helper()
		site.library.look(t.Context(), 0)
		body := markup.Body(t, get(t, site, "/pages/sub/a", claims))
		_, shelf, _ := strings.Cut(body, `aria-label="Contents"`)
		var got []string
		for _, a := range markup.Elements(t, shelf, "a") {
			text := markup.Text(a)
			if markup.Attribute(a, "aria-current") != "" {
				text = "*" + text
			}
			got = append(got, text)
		}
		if joined := strings.Join(got, "|"); joined != want {
			t.Errorf("%v: beside the page are\n%s, want\n%s", claims, joined, want)
		}
	}
	for range 2 {
		see(provider.Claims{}, "Handbook|data.csv|*Alpha|Beta|All pages")
		see(provider.Claims{"role": "hr"}, "Handbook|Salaries|data.csv|*Alpha|Beta|All pages")
	}
	if err := os.WriteFile(filepath.Join(dir, "new.md"), []byte("# New\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	see(provider.Claims{}, "Handbook|New|data.csv|*Alpha|Beta|All pages")
	body := markup.Body(t, get(t, site, "/pages/sub/a", provider.Claims{}))
	_, here, _ := strings.Cut(body, `id="on-this-page"`)
	here, _, _ = strings.Cut(here, "</nav>")
	if got := texts(t, here, "a"); got != "One=#one|Two & two=#two-two|Three=#three" {
		t.Errorf("on this page are %s", got)
	}
}

// A file of data has a page with its beginning, under the same rules as the file.
func TestPreview(t *testing.T) {
	t.Parallel()
	dir := folderOf(t, map[string]string{
		"a.csv": "name,much\n\"Ada, L\",<b>1</b>\u202e\n", "b.csv": "x;y\n1;2\n", "c.json": `{"a":[1,"<i>"]}`,
		"d.txt": "plain <i>\x1b[31m\n", "e.csv": "", "f.csv": strings.Repeat("1,2\n", maxRows+50), "bad.json": "{",
		"g.log": strings.Repeat("a line\n", maxPreview/7+10), "pay.md": "---\nrequire: {role: hr}\n---\n" + canary,
		"deep.json": strings.Repeat("[", 300) + strings.Repeat("1,", 2000) + "1" + strings.Repeat("]", 300),
	})
	if err := os.Symlink("pay.md", filepath.Join(dir, "pay.csv")); err != nil && runtime.GOOS != "windows" {
		t.Fatal(err)
	}
	site := siteOf(t, dir)
	for target, want := range map[string]string{
		"a.csv?view":     "<td><bdi>&lt;b&gt;1&lt;/b&gt;</bdi></td>",
		"b.csv?view":     `<th scope="col"><bdi>y</bdi></th>`,
		"c.json?view":    "  &#34;a&#34;: [\n    1,",
		"d.txt?view":     "<code>plain &lt;i&gt;[31m\n",
		"e.csv?view":     "The file is empty.",
		"f.csv?view":     "This is the beginning of the file.",
		"g.log?view":     "This is the beginning of the file.",
		"bad.json?view":  "<code>{</code>",
		"deep.json?view": "<code>[[[[[", // no page of gigabytes
		"a.csv":          "\"Ada, L\"",
	} {
		res := get(t, site, "/pages/"+target, nil)
		body := markup.Body(t, res)
		if res.StatusCode != http.StatusOK || !strings.Contains(body, want) || len(body) > 2*maxPreview {
			t.Errorf("%s: %d, without %q: %.3000s", target, res.StatusCode, want, body)
		}
		if strings.HasSuffix(target, "?view") && (strings.Contains(body, "\u202e") || strings.Contains(body, "<b>1")) {
			t.Errorf("%s: %s", target, body)
		}
	}
	for _, target := range []string{"pay.csv?view", "pay.csv", "pay.md?view", ".env?view", "../secret.txt?view"} {
		if body := markup.Body(t, get(t, site, "/pages/"+target, provider.Claims{})); strings.Contains(body, canary) {
			t.Errorf("%s shows what it must not", target)
		}
	}
	if body := markup.Body(t, get(t, site, "/pages/?q=canary", provider.Claims{})); strings.Contains(body, canary) {
		t.Errorf("a search shows %s", body)
	}
}
