package pages

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/loopkey/loopkey/internal/test/markup"
	"github.com/loopkey/loopkey/provider"
)

func TestMarkdown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ source, want string }{
		"heading": {"## Über *uns* & `x`",
			`<h2 id="über-uns-x">Über <em>uns</em> &amp; <code>x</code> ` +
				`<a class="anchor" href="#%C3%BCber-uns-x" aria-label="Link to this section">#</a></h2>`},
		"the same twice":      {"# A\n# A", `<h1 id="a-1">`},
		"an id of the layout": {"# Main", `<h1 id="main-1">`},
		"heading of signs":    {"# !!!", `<h1 id="section">`},
		"an id of a footnote": {"# fn 1", `<h1 id="section-fn-1">`},
		"footnote": {"a[^x]\n\n[^x]: why", `<p>a<sup><a id="fnref-1" href="#fn-1" aria-label="Footnote 1">1</a></sup></p>
<section class="footnotes" aria-label="Footnotes">
<ol>
<li id="fn-1"><p>why</p>
<a class="back" href="#fnref-1" aria-label="Back to the text">↩</a> </li>
</ol>
</section>`},
		"footnote twice":     {"a[^x] b[^x]\n\n[^x]: why", `<a class="back" href="#fnref-1-2"`},
		"footnote in a link": {"[a[^x]](b.md)\n\n[^x]: why", `<a href="b.md">a<sup>1</sup></a>`},
		"picture in a note":  {"a[^x]\n\n[^x]: ![p](//e.com/p.png)", `<a href="//e.com/p.png">p</a>`},
		"table":              {"|a|b|\n|-|-:|\n|1|2|", `<td align="right">2</td>`},
		"table can scroll":   {"|a|\n|-|\n|1|", `<div class="wide" role="group" aria-label="Table" tabindex="0"><table>`},
		"task":               {"- [x] paid", `<input type="checkbox" disabled checked aria-label="done"> paid`},
		"strikethrough":      {"~~no~~", `<del>no</del>`},
		"autolink":           {"see https://example.com/a", `<a href="https://example.com/a">https://example.com/a</a>`},
		"code": {"```go\na < b & \"c\"\n```",
			`<pre tabindex="0"><code class="language-go">a &lt; b &amp; &quot;c&quot;`},
		"indented code": {"    <b>\n", `<pre tabindex="0"><code>&lt;b&gt;`},
		"HTML in a line": {"one<br>two <b class=\"x\">three</b>",
			"<p>one&lt;br&gt;two &lt;b class=&quot;x&quot;&gt;three&lt;/b&gt;</p>"},
		"HTML in a cell":    {"|a|\n|-|\n|1<br/>2|", "1&lt;br/&gt;2</td>"},
		"HTML in a heading": {"# A <i>b</i>", `<h1 id="a-b">A &lt;i&gt;b&lt;/i&gt; <a`},
		"HTML in a picture": {"![a<br>b](x.png)", `alt="a&lt;br&gt;b"`},
		"a block of HTML": {"<div>\n<p>x\n</div>\n\nafter",
			"<pre tabindex=\"0\"><code>&lt;div&gt;\n&lt;p&gt;x\n&lt;/div&gt;\n</code></pre>\n<p>after"},
		"a script":            {"<script>\nalert(1)\n</script>", "&lt;script&gt;\nalert(1)\n&lt;/script&gt;"},
		"a comment":           {"a<!-- b -->c", "<p>ac</p>"},
		"after a comment":     {"<!-- x --> y", "<code> y\n</code>"},
		"a comment alone":     {"x\n\n<!-- y -->\n\nz", "<p>x</p>\n<p>z</p>"},
		"an endless comment":  {"<!-- x\n\ny", "&lt;!-- x\n\ny"},
		"local picture":       {"![plan](img/plan.png)", `<img src="img/plan.png" alt="plan">`},
		"rooted picture":      {"![plan](/pages/plan.png)", `<img src="/pages/plan.png" alt="plan">`},
		"picture in the page": {"![dot](data:image/png;base64,AAAA)", `<img src="data:image/png;base64,AAAA" alt="dot">`},
		"foreign picture": {"![plan *b*](https://example.com/p.png \"t\")",
			`<a href="https://example.com/p.png" title="t">plan <em>b</em></a>`},
		"foreign, no scheme":  {"![](//example.com/p.png)", `<a href="//example.com/p.png">image</a>`},
		"foreign, backslash":  {`![p](/\\example.com/p.png)`, `<a href=`},
		"badge":               {"[![build](https://e.com/b.svg)](https://e.com)", `<a href="https://e.com">build</a>`},
		"picture of ours":     {"![x](/auth/logout)", `<a href="/auth/logout">x</a>`},
		"picture of ours, up": {"![x](../auth/logout)", `<a href="../auth/logout">x</a>`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := renderMarkdown(frontMatter{}, []byte(test.source), "/pages/a.md")
			if !strings.Contains(string(doc.body), test.want) {
				t.Errorf("no %s in\n%s", test.want, doc.body)
			}
		})
	}
}

// FuzzMarkdown asks that no source brings an element or attribute into a page that could run, load from elsewhere, or
// send a form.
func FuzzMarkdown(f *testing.F) {
	for _, seed := range []string{
		"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](JaVa\tscript:alert(1))",
		"![x](javascript:alert(1))",
		"[x](data:text/html,<script>)", "<a href='//x' onclick=y>", "# a {onclick=alert(1) style=x}", "```\"><script>\n```",
		"[x]: javascript:a\n[x]", "<javascript:alert(1)>",
		"![a ![b](//y)](//x)", "|a|\n|:-:|\n|<svg/onload=1>|", "&lt;script&gt;", "[![a](//b)](//c)",
		"<http://a.b/\"onclick=1>", "- [ ] a", "**a ~~b~~ c**", "a[^1]\n\n[^1]: [x](javascript:y)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		doc := renderMarkdown(frontMatter{}, []byte(source), "/pages/a.md")
		if _, err := html.Parse(strings.NewReader(string(doc.body))); err != nil {
			t.Skip(err) // Also with LOOPKEY_TEST_REAL: the fuzzer finds inputs, and this is none.
		}
		for n := range markup.All(t, string(doc.body)) {
			switch n.Data {
			case "script", "style", "iframe", "object", "embed", "form", "base", "meta", "link", "svg", "math", "button",
				"textarea":
				t.Fatalf("<%s> from %q", n.Data, source)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcset" {
					t.Fatalf("%s from %q", a.Key, source)
				}
				value := strings.ToLower(strings.TrimSpace(a.Val))
				if (a.Key == "href" || a.Key == "src") && (strings.HasPrefix(value, "javascript:") ||
					strings.HasPrefix(value, "vbscript:") ||
					strings.HasPrefix(value, "file:") || strings.HasPrefix(value, "data:") &&
					!strings.HasPrefix(value, "data:image/")) {
					t.Fatalf("%s=%q from %q", a.Key, a.Val, source)
				}
				if n.Data == "img" && a.Key == "src" && !isLocalPicture("/pages/a.md", a.Val) {
					t.Fatalf("<img src=%q> from %q", a.Val, source)
				}
			}
		}
	})
}

func TestPageTitle(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                             "pay day",
		"text":                         "pay day",
		"## Two\n# One":                "One",
		"# A [link](x) & <b>b</b> \\*": "A link & <b>b</b> *",
		"# List<String> <!-- toc -->":  "List<String>",
		"~~~\n# code\n~~~\n# Text":     "Text",
		"    # code\n# Text":           "Text",
		"# a\u202eb\tc":                "ab c",
		"# &amp; &#65;":                "& A",
	} {
		if got := pageTitle(frontMatter{}, []byte(source), "/pages/sub/pay day.md"); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
	if got := pageTitle(frontMatter{title: "Front"}, []byte("# One"), "x"); got != "Front" {
		t.Errorf("%q", got)
	}
}

const benchPage = `---
title: Payroll
require: {role: hr}
acr: mfa
---
# Payroll

Some *text* with [a link](other.md), ` + "`code`" + ` and https://example.com.

| who | what | how much |
|-----|------|---------:|
| Ada | lead |     1234 |
| Bob | dev  |      987 |

- [x] paid
- [ ] to be paid

` + "```go\nfunc main() { println(\"hello\") }\n```\n"

// BenchmarkMarkdownPage serves a page of about 2 KB: front matter, check, rendering, layout.
func BenchmarkMarkdownPage(b *testing.B) {
	site := siteOf(b, folderOf(b, map[string]string{"pay.md": benchPage +
		strings.Repeat("\nA paragraph of some words that follow one another.\n", 30)}))
	claims := provider.Claims{"sub": "u", "role": "hr", "acr": "mfa"}
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/pages/pay", nil)
		w := httptest.NewRecorder()
		site.serve(w, r, claims)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}

// BenchmarkIndex lists a thousand pages, each read for its title.
func BenchmarkIndex(b *testing.B) {
	files := map[string]string{}
	for i := range 1000 {
		files["part"+strconv.Itoa(i%10)+"/page"+strconv.Itoa(i)+".md"] = benchPage
	}
	site := siteOf(b, folderOf(b, files))
	claims := provider.Claims{"sub": "u", "role": "hr", "acr": "mfa"}
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/pages/", nil)
		w := httptest.NewRecorder()
		site.serve(w, r, claims)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
