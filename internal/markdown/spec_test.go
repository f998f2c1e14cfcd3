package markdown

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	goldmarkhtml "github.com/yuin/goldmark/renderer/html"
)

// draw writes the HTML that the specification shows.
func draw(root *Node) string {
	var b strings.Builder
	escape := func(s string) string {
		return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
	}
	address := func(s string) string {
		var a strings.Builder
		for i := range len(s) {
			if c := s[i]; c > ' ' && c < 0x7F && !strings.ContainsRune("\"<>\\[]^`{|}", rune(c)) {
				a.WriteByte(c)
			} else {
				fmt.Fprintf(&a, "%%%02X", c)
			}
		}
		return escape(a.String())
	}
	line := func() {
		if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
			b.WriteByte('\n')
		}
	}
	image := 0
	root.Walk(func(n *Node, entering bool) {
		if image > 0 && n.Kind != Image {
			if entering && (n.Kind == Text || n.Kind == Code) {
				b.WriteString(escape(n.Text))
			} else if n.Kind == SoftBreak {
				b.WriteByte('\n')
			}
			return
		}
		tagged := func(name string) {
			if entering {
				b.WriteString("<" + name + ">")
			} else {
				name, _, _ = strings.Cut(name, " ")
				b.WriteString("</" + name + ">")
			}
		}
		block := func(name string) {
			if entering {
				line()
			}
			tagged(name)
			if !entering {
				b.WriteByte('\n')
			}
		}
		switch n.Kind {
		case Document:
		case Quote:
			if line(); entering {
				b.WriteString("<blockquote>\n")
			} else {
				b.WriteString("</blockquote>\n")
			}
		case List:
			name := "ul"
			if n.Ordered {
				name = "ol"
			}
			if line(); !entering {
				b.WriteString("</" + name + ">\n")
			} else if n.Ordered && n.Start != 1 {
				fmt.Fprintf(&b, "<ol start=\"%d\">\n", n.Start)
			} else {
				b.WriteString("<" + name + ">\n")
			}
		case Item:
			if entering {
				line()
			}
			tagged("li")
			if !entering {
				b.WriteByte('\n')
			}
		case Paragraph:
			if n.Parent.Kind != Item || !n.Parent.Parent.Tight {
				block("p")
			} else if n.Prev != nil && entering {
				line()
			} else if !entering && n.Next != nil {
				line()
			}
		case Heading:
			block(fmt.Sprintf("h%d", n.Level))
		case Rule:
			line()
			b.WriteString("<hr />\n")
		case CodeBlock:
			line()
			if language, _, _ := strings.Cut(n.Info, " "); language != "" {
				fmt.Fprintf(&b, "<pre><code class=\"language-%s\">", escape(language))
			} else {
				b.WriteString("<pre><code>")
			}
			b.WriteString(escape(n.Text) + "</code></pre>\n")
		case HTMLBlock:
			line()
			b.WriteString(n.Text + "\n")
		case Table:
			if line(); entering {
				b.WriteString("<table>\n")
			} else {
				if n.FirstChild != n.LastChild {
					b.WriteString("</tbody>\n")
				}
				b.WriteString("</table>\n")
			}
		case Row:
			switch {
			case entering && n.Prev == nil:
				b.WriteString("<thead>\n<tr>\n")
			case entering && n.Prev.Prev == nil:
				b.WriteString("<tbody>\n<tr>\n")
			case entering:
				b.WriteString("<tr>\n")
			case n.Prev == nil:
				b.WriteString("</tr>\n</thead>\n")
			default:
				b.WriteString("</tr>\n")
			}
		case Cell:
			name := "td"
			if n.Parent.Prev == nil {
				name = "th"
			}
			if align := [...]string{"", "left", "center", "right"}[n.Align]; align != "" {
				name += ` align="` + align + `"`
			}
			block(name)
		case CheckBox:
			if n.Checked {
				b.WriteString(`<input checked="" disabled="" type="checkbox" /> `)
			} else {
				b.WriteString(`<input disabled="" type="checkbox" /> `)
			}
		case Footnotes:
			line()
			if entering {
				b.WriteString("<div class=\"footnotes\" role=\"doc-endnotes\">\n<hr />\n<ol>\n")
			} else {
				b.WriteString("</ol>\n</div>\n")
			}
		case Footnote:
			line()
			if entering {
				fmt.Fprintf(&b, "<li id=\"fn:%d\">\n", n.Number)
			} else {
				b.WriteString("</li>\n")
			}
		case FootnoteMark:
			id := ""
			if n.Marks > 1 {
				id = fmt.Sprint(n.Marks - 1)
			}
			fmt.Fprintf(&b, `<sup id="fnref%s:%d"><a href="#fn:%[2]d" class="footnote-ref" role="doc-noteref">%[2]d</a></sup>`,
				id, n.Number)
		case Text:
			b.WriteString(escape(n.Text))
		case SoftBreak:
			b.WriteByte('\n')
		case HardBreak:
			b.WriteString("<br />\n")
		case Code:
			b.WriteString("<code>" + escape(n.Text) + "</code>")
		case HTML:
			b.WriteString(n.Text)
		case Emphasis:
			tagged("em")
		case Strong:
			tagged("strong")
		case Strikethrough:
			tagged("del")
		case Link:
			title := ""
			if n.Title != "" {
				title = ` title="` + escape(n.Title) + `"`
			}
			tagged("a href=\"" + address(n.Destination) + "\"" + title)
		case Image:
			if entering {
				if image == 0 {
					b.WriteString(`<img src="` + address(n.Destination) + `" alt="`)
				}
				image++
			} else if image--; image == 0 {
				b.WriteByte('"')
				if n.Title != "" {
					b.WriteString(` title="` + escape(n.Title) + `"`)
				}
				b.WriteString(" />")
			}
		}
	})
	return b.String()
}

// The examples of the specification, which goldmark's module carries.
func TestSpecification(t *testing.T) {
	t.Parallel()
	// Three examples show that text without brackets around is no link in CommonMark. Here it is, as on GitHub.
	bare := []int{608, 611, 612}
	for _, e := range examples(t) {
		if got := draw(Parse(e.Markdown)); got != e.HTML && !slices.Contains(bare, e.Example) {
			t.Errorf("%d (%s) %q:\n got %q\nwant %q", e.Example, e.Section, e.Markdown, got, e.HTML)
		}
	}
}

type example struct {
	Markdown, HTML, Section string
	Example                 int
}

func examples(t testing.TB) []example {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/yuin/goldmark")
	dir, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "_test", "spec.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 600 {
		t.Fatalf("%d examples", len(all))
	}
	return all
}

// What GitHub adds is compared with what goldmark makes of it.
func TestLikeGoldmark(t *testing.T) {
	t.Parallel()
	table := extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))
	other := goldmark.New(
		goldmark.WithExtensions(table, extension.Strikethrough, extension.Linkify, extension.TaskList),
		goldmark.WithRendererOptions(goldmarkhtml.WithXHTML()),
	)
	for _, source := range []string{
		"|a|b|\n|-|-:|\n|1|2|", "a | b\n--|:-:\n1 | 2\n3 | 4\n\nafter", "| a |\n|---|", "text\n|a|b|\n|-|-|\n|1|2|3|\n|4|",
		"|a|b|\n|-|\n|1|2|", "| `a\\|b` | c\\|d |\n|:-|-|\n| *e* | [f](g) |", "> |a|\n> |-|\n> |b|", "- |a|\n  |-|\n  |b|",
		"|a|\n|-|\n|b|\n# c", "|a|\n|-|\n|b|\n> c", "|a|b|\n|:-:|--|\n||x|\n|y|", "a\n|b", "|a|\n|-a|", "|a|\n|::|",
		"~~a~~", "~a~", "~~~a~~~b", "**a ~~b** c~~", "~~a *b* c~~ d", "a~~b~~c", "~~ a ~~", "~~a\nb~~",
		"- [ ] a\n- [x] b\n- [X] c\n- d", "1. [x] a", "- [ ] a\n\n- [x] b", "- [y] a", "- a [x]", "[x] a",
		"see https://example.com/a.", "(https://example.com/a_(b))", "https://example.com/a?b=c&d=e",
		"http://example.com, and",
		"www.example.com/a", "x.www.example.com", "https://example", "https://example.com)", "https://example.com/a&amp;",
		"*https://example.com*", "**https://example.com/a_b_c**", "a@example.com",
		"a.b+c@example.co.uk.", "a@b", "a@example.com_",
		"xhttps://example.com", "[a https://example.com](b)", "`https://example.com`", "<https://example.com>",
		"~~https://example.com~~",
		"https://example.com\"", "ftp://example.com/a",
	} {
		var want bytes.Buffer
		if err := other.Convert([]byte(source), &want); err != nil {
			t.Fatal(err)
		}
		if got := draw(Parse(source)); got != want.String() {
			t.Errorf("%q:\n got %q\nwant %q", source, got, want.String())
		}
	}
}

// Footnotes are compared with what goldmark makes of them, but for its links back. As on GitHub, their labels have no
// spaces.
func TestFootnotesLikeGoldmark(t *testing.T) {
	t.Parallel()
	other := goldmark.New(
		goldmark.WithExtensions(extension.Footnote), goldmark.WithRendererOptions(goldmarkhtml.WithXHTML()),
	)
	back := regexp.MustCompile(`(&#160;)?<a href="#fnref\d*:\d+" class="footnote-backref" role="doc-backlink">[^<]*</a>`)
	for _, source := range []string{
		"a[^1]\n\n[^1]: note", "a[^1]\n\n[^1]: note\nlazy\n\nafter", "a[^x] b[^y]\n\n[^y]: *two*\n[^x]: one `c`",
		"a[^1]\n\n[^1]: one\n\n    two\n\n    - three\n\nafter", "a[^none]", "[^1]: alone", "a[^1] again[^1]\n\n[^1]: x",
		"a[^1]\n\n[^1]: x[^2]\n\n[^2]: y", "[^1] a\n\n[^1]: x", "**a[^1]**\n\n[^1]: x", "`[^1]`\n\n[^1]: x",
		"a[^1]\n\n[^1]: x\n[^1]: y", "# h[^1]\n\n[^1]: x", "a[^1]\n\n[^1]: x\n# h",
		"[a][^1]\n\n[^1]: x", "- a[^1]\n\n[^1]: x", "a\\[^1]\n\n[^1]: x",
	} {
		var want bytes.Buffer
		if err := other.Convert([]byte(source), &want); err != nil {
			t.Fatal(err)
		}
		if got, want := draw(Parse(source)), back.ReplaceAllString(want.String(), ""); got != want {
			t.Errorf("%q:\n got %q\nwant %q", source, got, want)
		}
	}
}

// FuzzParse asks that the tree is a tree, and that the ends of lines may be those of Windows.
func FuzzParse(f *testing.F) {
	for _, e := range examples(f) {
		f.Add(e.Markdown)
	}
	f.Add("|a|\n|-|\n|b|\n\n- [ ] ~~c~~ https://example.com a@example.com")
	f.Add("a[^1] [^2][^1]\n\n[^1]: b[^2]\n\n    c\n[^2]: - d\n> [^2]: e")
	f.Fuzz(func(t *testing.T, source string) {
		root := Parse(source)
		open := 0
		root.Walk(func(n *Node, entering bool) {
			if n.isContainer() && entering {
				open++
			} else if n.isContainer() {
				open--
			}
			for child := n.FirstChild; child != nil; child = child.Next {
				if child.Parent != n || child.Next == nil && n.LastChild != child || child.Next != nil && child.Next.Prev != child {
					t.Fatalf("%q is no tree", source)
				}
			}
		})
		if open != 0 {
			t.Fatalf("%q: %d nodes are not left", source, open)
		}
		if strings.Contains(source, "\r") {
			return
		}
		if lf, crlf := draw(root), draw(Parse(strings.ReplaceAll(source, "\n", "\r\n"))); lf != crlf {
			t.Fatalf("%q:\n%q\n%q", source, lf, crlf)
		}
	})
}
