package pages

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/loopkey/loopkey/internal/markdown"
	"github.com/loopkey/loopkey/internal/template"
	"github.com/loopkey/loopkey/internal/words"
)

// A document is a rendered Markdown file.
type document struct {
	title string
	// heading is the title if the text does not begin with one of its own; it is shown above the text.
	heading  string
	body     template.HTML
	sections []section
}

// A section is a heading below the title, for the contents of the page.
type section struct {
	URL, Text string
	Below     bool // another section of its level is above it: it belongs to that
}

// contents returns the sections, if there are so many that one may look for them.
func (d *document) contents() []section {
	if len(d.sections) < 3 {
		return nil
	}
	return d.sections
}

// renderMarkdown renders the text of a Markdown file after its front matter. at is the file's URL path, from which
// relative ones in it lead on.
func renderMarkdown(fm frontMatter, source []byte, at string) document {
	root := markdown.Parse(string(source))
	replacePictures(root, at)
	r := renderer{ids: headingIDs{}}
	root.Walk(r.draw)
	doc := document{
		title:    pageTitle(fm, source, at),
		body:     template.HTML(r.out.String()), // the renderer escapes all that came from the file
		sections: r.sections,
	}
	if h := root.FirstChild; h == nil || h.Kind != markdown.Heading || h.Level != 1 {
		doc.heading = doc.title
	}
	return doc
}

// pageTitle returns what to call a Markdown file: the title of its front matter, else its first heading, else its name.
func pageTitle(fm frontMatter, source []byte, name string) string {
	if title := words.Line(fm.title, 200); title != "" {
		return title
	}
	if title := words.Line(firstHeading(source), 200); title != "" {
		return title
	}
	return words.Line(strings.TrimSuffix(path.Base(name), path.Ext(name)), 200)
}

// firstHeading returns the text of the first "# " heading outside of code. The index asks this of every file, so it
// parses no more than that line.
func firstHeading(source []byte) string {
	fence := ""
	for raw := range bytes.Lines(source) {
		line := strings.TrimSpace(string(raw[:min(len(raw), 1000)]))
		switch {
		case fence != "":
			if strings.HasPrefix(line, fence) {
				fence = ""
			}
		case strings.HasPrefix(line, "```"), strings.HasPrefix(line, "~~~"):
			fence = line[:3]
		case strings.HasPrefix(line, "# ") && !bytes.HasPrefix(raw, []byte("    ")) && raw[0] != '\t':
			return markdown.Parse(line).PlainTextAndHTML()
		}
	}
	return ""
}

// headingIDs are the ids of a page's headings, each once.
type headingIDs map[string]bool

// add returns an id made from the text of a heading, in any script.
func (ids headingIDs) add(text string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(text) {
		switch {
		case unicode.IsLetter(c) || unicode.IsNumber(c) || unicode.IsMark(c):
			b.WriteRune(c)
		case (unicode.IsSpace(c) || c == '-' || c == '_') && b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	base := strings.Trim(b.String(), "-")
	switch {
	case base == "":
		base = "section"
	case strings.HasPrefix(base, "fn-"), strings.HasPrefix(base, "fnref-"): // those are of footnotes
		base = "section-" + base
	}
	id := base
	for n := 1; ids[id] || isReserved(id); n++ {
		id = base + "-" + strconv.Itoa(n)
	}
	ids[id] = true
	return id
}

// isReserved reports whether the frame around a page has an element with that id.
func isReserved(id string) bool {
	return slices.Contains([]string{"main", "q", "waiting", "contents", "on-this-page"}, id)
}

// A renderer writes the HTML of a tree. It escapes everything: HTML in the source is shown as it was written, and only
// comments are left out.
type renderer struct {
	out      bytes.Buffer
	ids      headingIDs
	id       string // of the heading that is drawn
	sections []section
	pictures int // how many images the walk is in; what is in them is the alternative text
}

// draw writes one node.
func (r *renderer) draw(n *markdown.Node, entering bool) {
	switch {
	case n.Kind == markdown.Image:
		r.image(n, entering)
	case r.pictures > 0:
		if entering {
			r.text(n)
		}
	case !r.block(n, entering) && !r.inline(n, entering) && entering:
		r.text(n)
	}
}

// block writes a block, and reports whether n is one.
func (r *renderer) block(n *markdown.Node, entering bool) bool {
	switch n.Kind {
	case markdown.Document:
	case markdown.HTMLBlock:
		if source := strings.Trim(markdown.WithoutComments(n.Text), "\n"); strings.TrimSpace(source) != "" {
			r.out.WriteString(`<pre tabindex="0"><code>` + escape(source) + "\n</code></pre>\n")
		}
	case markdown.Quote:
		r.either(entering, "<blockquote>\n", "</blockquote>\n")
	case markdown.List:
		r.list(n, entering)
	case markdown.Item:
		r.either(entering, "<li>", "</li>\n")
	case markdown.Paragraph:
		switch {
		case n.Parent.Kind != markdown.Item || !n.Parent.Parent.Tight:
			r.either(entering, "<p>", "</p>\n")
		case !entering && n.Next != nil:
			r.out.WriteByte('\n')
		}
	case markdown.Heading:
		r.heading(n, entering)
	case markdown.Rule:
		r.out.WriteString("<hr>\n")
	case markdown.CodeBlock:
		r.codeBlock(n)
	case markdown.Footnotes:
		r.either(entering, "<section class=\"footnotes\" aria-label=\"Footnotes\">\n<ol>\n", "</ol>\n</section>\n")
	case markdown.Footnote:
		r.footnote(n, entering)
	default:
		return r.table(n, entering)
	}
	return true
}

// footnote writes a footnote, with a link back to each of its marks.
func (r *renderer) footnote(n *markdown.Node, entering bool) {
	if entering {
		_, _ = fmt.Fprintf(&r.out, "<li id=\"fn-%d\">", n.Number)
		return
	}
	for i := range n.Marks {
		_, _ = fmt.Fprintf(&r.out, `<a class="back" href="#%s" aria-label="Back to the text">↩</a> `, markID(n.Number, i+1))
	}
	r.out.WriteString("</li>\n")
}

// footnoteMark writes the number of a footnote, which leads there. Links don't nest.
func (r *renderer) footnoteMark(n *markdown.Node) {
	if isInLink(n) {
		_, _ = fmt.Fprintf(&r.out, "<sup>%d</sup>", n.Number)
		return
	}
	_, _ = fmt.Fprintf(&r.out, `<sup><a id="%s" href="#fn-%d" aria-label="Footnote %[2]d">%[2]d</a></sup>`,
		markID(n.Number, n.Marks), n.Number)
}

// markID returns the id of one of the marks that lead to a footnote.
func markID(number, mark int) string {
	if mark == 1 {
		return "fnref-" + strconv.Itoa(number)
	}
	return "fnref-" + strconv.Itoa(number) + "-" + strconv.Itoa(mark)
}

func (r *renderer) either(entering bool, begin, end string) {
	if entering {
		r.out.WriteString(begin)
	} else {
		r.out.WriteString(end)
	}
}

func (r *renderer) list(n *markdown.Node, entering bool) {
	switch {
	case !n.Ordered:
		r.either(entering, "<ul>\n", "</ul>\n")
	case entering && n.Start != 1:
		_, _ = fmt.Fprintf(&r.out, "<ol start=\"%d\">\n", n.Start)
	default:
		r.either(entering, "<ol>\n", "</ol>\n")
	}
}

// heading writes a heading with a link to itself.
func (r *renderer) heading(n *markdown.Node, entering bool) {
	if entering {
		text := n.PlainText()
		r.id = r.ids.add(text)
		if n.Level == 2 || n.Level == 3 {
			r.sections = append(r.sections, section{URL: "#" + r.id, Text: words.Line(text, 120), Below: n.Level == 3})
		}
		_, _ = fmt.Fprintf(&r.out, "<h%d id=\"%s\">", n.Level, escape(r.id))
		return
	}
	_, _ = fmt.Fprintf(&r.out, " <a class=\"anchor\" href=\"#%s\" aria-label=\"Link to this section\">#</a></h%d>\n",
		address(r.id), n.Level)
}

// codeBlock writes a block that the keyboard can scroll.
func (r *renderer) codeBlock(n *markdown.Node) {
	r.out.WriteString(`<pre tabindex="0"><code`)
	if language, _, _ := strings.Cut(n.Info, " "); language != "" {
		r.out.WriteString(` class="language-` + escape(language) + `"`)
	}
	r.out.WriteString(">" + escape(n.Text) + "</code></pre>\n")
}

// table writes a table that the keyboard can scroll, its rows and its cells, and reports whether n is one of them.
func (r *renderer) table(n *markdown.Node, entering bool) bool {
	switch n.Kind {
	case markdown.Table:
		r.either(entering, `<div class="wide" role="group" aria-label="Table" tabindex="0"><table>`+"\n", "</table></div>\n")
	case markdown.Row:
		begin, end := "<tr>\n", "</tr>\n"
		switch { // the header is a part of its own, and so are the rows below it
		case n.Prev == nil:
			begin, end = "<thead>\n"+begin, end+"</thead>\n"
		case n.Prev.Prev == nil:
			begin = "<tbody>\n" + begin
		}
		if n.Prev != nil && n.Next == nil {
			end += "</tbody>\n"
		}
		r.either(entering, begin, end)
	case markdown.Cell:
		name := "td"
		if n.Parent.Prev == nil {
			name = "th"
		}
		r.either(entering, "<"+name+alignment(n.Align)+">", "</"+name+">\n")
	default:
		return false
	}
	return true
}

// alignment is an attribute: the policy of our own pages forbids a style.
func alignment(align markdown.Align) string {
	switch align {
	case markdown.AlignLeft:
		return ` align="left"`
	case markdown.AlignCenter:
		return ` align="center"`
	case markdown.AlignRight:
		return ` align="right"`
	}
	return ""
}

// inline writes an inline that is more than text, and reports whether n is one.
func (r *renderer) inline(n *markdown.Node, entering bool) bool {
	switch n.Kind {
	case markdown.Code:
		r.out.WriteString("<code>" + escape(n.Text) + "</code>")
	case markdown.HardBreak:
		r.out.WriteString("<br>\n")
	case markdown.Emphasis:
		r.either(entering, "<em>", "</em>")
	case markdown.Strong:
		r.either(entering, "<strong>", "</strong>")
	case markdown.Strikethrough:
		r.either(entering, "<del>", "</del>")
	case markdown.Link:
		r.link(n, entering)
	case markdown.FootnoteMark:
		r.footnoteMark(n)
	case markdown.CheckBox:
		if n.Checked {
			r.out.WriteString(`<input type="checkbox" disabled checked aria-label="done"> `)
		} else {
			r.out.WriteString(`<input type="checkbox" disabled aria-label="to do"> `)
		}
	default:
		return false
	}
	return true
}

// text writes the text of an inline.
func (r *renderer) text(n *markdown.Node) {
	switch n.Kind {
	case markdown.Text, markdown.Code:
		r.out.WriteString(escape(n.Text))
	case markdown.HTML:
		r.out.WriteString(escape(markdown.WithoutComments(n.Text)))
	case markdown.SoftBreak, markdown.HardBreak:
		r.out.WriteByte('\n')
	}
}

// link writes a link, or its text alone if a browser must not follow it.
func (r *renderer) link(n *markdown.Node, entering bool) {
	if isDangerous(n.Destination) {
		return
	}
	if !entering {
		r.out.WriteString("</a>")
		return
	}
	r.out.WriteString(`<a href="` + address(n.Destination) + `"` + title(n) + ">")
}

// image writes an image. replacePictures has left only those that a page may load.
func (r *renderer) image(n *markdown.Node, entering bool) {
	if entering {
		if r.pictures++; r.pictures == 1 {
			r.out.WriteString(`<img src="` + address(n.Destination) + `" alt="`)
		}
		return
	}
	if r.pictures--; r.pictures == 0 {
		r.out.WriteString(`"` + title(n) + ">")
	}
}

func title(n *markdown.Node) string {
	if n.Title == "" {
		return ""
	}
	return ` title="` + escape(n.Title) + `"`
}

// escape makes a text fit for HTML and for an attribute between double quotes.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(text)
}

// address makes a URL fit for an attribute: it percent-encodes what does not belong there, once.
func address(url string) string {
	var b strings.Builder
	for i := range len(url) {
		c := url[i]
		if c > ' ' && c < 0x7F && strings.IndexByte("\"<>\\^`{|}[]", c) < 0 {
			b.WriteByte(c)
		} else {
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return escape(b.String())
}
