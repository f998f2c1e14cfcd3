package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"github.com/loopkey/loopkey/internal/words"
)

// markdown renders GitHub's flavour of CommonMark. HTML in the source is left
// out, and links to javascript: and the like are, too (goldmark's safe mode).
// There is no highlighter: the one there is costs every command 30 million
// instructions at its start.
var markdown = sync.OnceValue(func() goldmark.Markdown {
	return goldmark.New(
		goldmark.WithExtensions(
			// Alignment by attribute: a style attribute is against our own policy.
			extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
			extension.Strikethrough, extension.Linkify, extension.TaskList,
		),
		goldmark.WithParserOptions(
			parser.WithAutoHeadingID(),
			parser.WithASTTransformers(util.Prioritized(pictures{}, 100)),
		),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(blocks{}, 100))),
	)
})

// A document is a rendered Markdown file.
type document struct {
	title string
	// heading is the title if the text does not begin with one of its own; it is shown above the text.
	heading string
	body    template.HTML
}

// renderMarkdown renders the text of a Markdown file after its front matter. at
// is the file's URL path, from which relative ones in it lead on.
func renderMarkdown(fm frontMatter, source []byte, at string) (document, error) {
	pc := parser.NewContext(parser.WithIDs(&headingIDs{}))
	pc.Set(baseKey, at)
	md := markdown()
	root := md.Parser().Parse(text.NewReader(source), parser.WithContext(pc))
	var out bytes.Buffer
	if err := md.Renderer().Render(&out, source, root); err != nil {
		return document{}, err
	}
	doc := document{
		title: pageTitle(fm, source, at),
		body:  template.HTML(out.String()), //nolint:gosec // goldmark's safe mode escapes what came from the file
	}
	if h, ok := root.FirstChild().(*ast.Heading); !ok || h.Level != 1 {
		doc.heading = doc.title
	}
	return doc, nil
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

// firstHeading returns the text of the first "# " heading outside of code. The index asks this of every file, so
// it parses no more than that line.
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
			return plainText([]byte(line))
		}
	}
	return ""
}

// plainText returns the text of a line of Markdown without its marks.
func plainText(source []byte) string {
	var b strings.Builder
	root := markdown().Parser().Parse(text.NewReader(source))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(n.Segment.Value(source)))))
		case *ast.AutoLink:
			b.Write(n.Label(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// headingIDs gives headings ids from their text, in any script, each once.
type headingIDs struct{ used map[string]bool }

// Generate returns the id of a heading with this text.
func (ids *headingIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	var b strings.Builder
	for _, c := range strings.ToLower(string(value)) {
		switch {
		case unicode.IsLetter(c) || unicode.IsNumber(c) || unicode.IsMark(c):
			b.WriteRune(c)
		case (unicode.IsSpace(c) || c == '-' || c == '_') && b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	base := strings.Trim(b.String(), "-")
	if base == "" {
		base = "section"
	}
	id := base
	for n := 1; ids.used[id] || reservedIDs[id]; n++ {
		id = base + "-" + strconv.Itoa(n)
	}
	ids.Put([]byte(id))
	return []byte(id)
}

// Put marks an id as used.
func (ids *headingIDs) Put(value []byte) {
	if ids.used == nil {
		ids.used = map[string]bool{}
	}
	ids.used[string(value)] = true
}

// reservedIDs are those of the layout around a page.
var reservedIDs = map[string]bool{"main": true, "q": true, "waiting": true}

// baseKey is where a parse keeps the URL path of its file.
var baseKey = parser.NewContextKey()

// pictures changes what a page would load from elsewhere into links: pages ask
// no other host for anything, and nothing of loopkey's own (an image with the
// address of the logout is no image).
type pictures struct{}

// Transform replaces the images whose source is not below /pages/.
func (pictures) Transform(root *ast.Document, reader text.Reader, pc parser.Context) {
	base, _ := pc.Get(baseKey).(string)
	var foreign []*ast.Image
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if img, ok := n.(*ast.Image); ok && entering && !isLocalPicture(base, string(img.Destination)) {
			foreign = append(foreign, img)
		}
		return ast.WalkContinue, nil
	})
	for _, img := range foreign {
		parent := img.Parent()
		if isInLink(img) { // a badge: links don't nest, so its text alone is left
			for child := img.FirstChild(); child != nil; child = img.FirstChild() {
				parent.InsertBefore(parent, img, child)
			}
			parent.RemoveChild(parent, img)
			continue
		}
		link := ast.NewLink()
		link.Destination, link.Title = img.Destination, img.Title
		for child := img.FirstChild(); child != nil; child = img.FirstChild() {
			link.AppendChild(link, child)
		}
		if link.FirstChild() == nil {
			link.AppendChild(link, ast.NewString([]byte("image")))
		}
		parent.ReplaceChild(parent, img, link)
	}
}

func isInLink(n ast.Node) bool {
	for n = n.Parent(); n != nil; n = n.Parent() {
		if n.Kind() == ast.KindLink {
			return true
		}
	}
	return false
}

// isLocalPicture reports whether an image's destination, on the page at base, is a file below /pages/ or held in the page itself.
func isLocalPicture(base, destination string) bool {
	if strings.HasPrefix(destination, "data:image/") {
		return true
	}
	u, err := url.Parse(destination)
	if err != nil || u.Scheme != "" || u.Host != "" || strings.Contains(destination, `\`) {
		return false
	}
	resolved := (&url.URL{Path: base}).ResolveReference(u)
	return resolved.Host == "" && strings.HasPrefix(path.Clean(resolved.Path), Path)
}

// blocks renders what goldmark renders otherwise: headings with a link to
// themselves, what scrolls so that a keyboard can scroll it, and check boxes with
// a name.
type blocks struct{}

// RegisterFuncs registers the nodes that blocks renders.
func (b blocks) RegisterFuncs(reg renderer.NodeRendererFuncRegisterer) {
	reg.Register(ast.KindHeading, b.heading)
	reg.Register(ast.KindCodeBlock, b.code)
	reg.Register(ast.KindFencedCodeBlock, b.code)
	reg.Register(east.KindTable, b.table)
	reg.Register(east.KindTaskCheckBox, b.checkBox)
}

func (blocks) heading(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	n := node.(*ast.Heading)
	value, _ := n.AttributeString("id")
	id, _ := value.([]byte)
	if entering {
		_, _ = fmt.Fprintf(w, "<h%d id=\"%s\">", n.Level, util.EscapeHTML(id))
		return ast.WalkContinue, nil
	}
	_, _ = fmt.Fprintf(w, ` <a class="anchor" href="#%s" aria-label="Link to this section">#</a></h%d>`+"\n",
		util.EscapeHTML(util.URLEscape(id, false)), n.Level)
	return ast.WalkContinue, nil
}

func (blocks) code(w util.BufWriter, source []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		_, _ = w.WriteString("</code></pre>\n")
		return ast.WalkContinue, nil
	}
	_, _ = w.WriteString(`<pre tabindex="0"><code`)
	if fenced, ok := node.(*ast.FencedCodeBlock); ok {
		if language := fenced.Language(source); len(language) > 0 {
			_, _ = fmt.Fprintf(w, ` class="language-%s"`, util.EscapeHTML(language))
		}
	}
	_ = w.WriteByte('>')
	for i := range node.Lines().Len() {
		line := node.Lines().At(i)
		_, _ = w.Write(util.EscapeHTML(line.Value(source)))
	}
	return ast.WalkContinue, nil
}

func (blocks) table(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
	if entering {
		_, _ = w.WriteString(`<div class="wide" role="group" aria-label="Table" tabindex="0"><table>` + "\n")
	} else {
		_, _ = w.WriteString("</table></div>\n")
	}
	return ast.WalkContinue, nil
}

func (blocks) checkBox(w util.BufWriter, _ []byte, node ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	if node.(*east.TaskCheckBox).IsChecked {
		_, _ = w.WriteString(`<input type="checkbox" disabled checked aria-label="done"> `)
	} else {
		_, _ = w.WriteString(`<input type="checkbox" disabled aria-label="to do"> `)
	}
	return ast.WalkContinue, nil
}
