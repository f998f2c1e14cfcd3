// Package markdown parses CommonMark 0.31 with GitHub's tables, task lists, footnotes, strikethrough and bare links
// into a tree. It makes no HTML: whoever draws the tree decides what a page may contain.
//
// Nothing is built when the program starts. That is why this package exists beside the well-known libraries: their
// tables and regular expressions cost each command that links them up to three million instructions, whether it draws
// a page or not. The tests hold it to the examples of the specification.
package markdown

// A Kind is what a Node stands for.
type Kind int

// The kinds of blocks.
const (
	Document Kind = iota
	Quote
	List
	Item
	Paragraph
	Heading
	Rule // a thematic break
	CodeBlock
	HTMLBlock
	Table
	Row       // of a table; the first is its header
	Cell      // of a table
	Footnotes // at the end of the document, if it has any
	Footnote
)

// The kinds of inlines.
const (
	Text Kind = iota + 100
	SoftBreak
	HardBreak
	Code
	HTML
	Emphasis
	Strong
	Strikethrough
	Link
	Image
	CheckBox // the first inline of a task
	FootnoteMark
)

// An Align is how a column of a table is aligned.
type Align int

// The alignments of a column.
const (
	AlignNone Align = iota
	AlignLeft
	AlignCenter
	AlignRight
)

// A Node is a block or an inline.
type Node struct {
	Kind                                      Kind
	Parent, FirstChild, LastChild, Prev, Next *Node

	Text               string // of Text, Code, CodeBlock, HTML and HTMLBlock, as it is: nothing is escaped
	Info               string // of a CodeBlock: what stands behind its fence
	Destination, Title string // of a Link or an Image; nothing is escaped, and every scheme is possible
	Level              int    // of a Heading: 1 to 6
	Ordered            bool   // of a List
	Start              int    // of a List that is ordered
	Tight              bool   // of a List: its paragraphs are drawn without a paragraph around
	Align              Align  // of a Cell
	Checked            bool   // of a CheckBox
	Number             int    // of a Footnote and a FootnoteMark, from 1
	Marks              int    // of a Footnote: how many marks lead to it; of a FootnoteMark: which of them it is, from 1

	block *block // while it is parsed
}

// Parse returns the tree of a source.
func Parse(source string) *Node {
	p := &parser{references: map[string]reference{}, budget: max(len(source), 100_000)}
	p.document = p.open(Document)
	p.tip = p.document
	for source != "" {
		line, rest := cutLine(source)
		p.line(line)
		source = rest
	}
	for p.tip != nil {
		p.close(p.tip)
	}
	p.takeFootnotes()
	p.inlinesOf(p.document)
	p.endnotes()
	return p.document
}

// Append adds child behind the children of n, out of where it was before.
func (n *Node) Append(child *Node) {
	child.Unlink()
	child.Parent, child.Prev = n, n.LastChild
	if n.LastChild == nil {
		n.FirstChild = child
	} else {
		n.LastChild.Next = child
	}
	n.LastChild = child
}

// InsertAfter adds sibling behind n, out of where it was before.
func (n *Node) InsertAfter(sibling *Node) {
	sibling.Unlink()
	sibling.Parent, sibling.Prev, sibling.Next = n.Parent, n, n.Next
	if n.Next == nil {
		n.Parent.LastChild = sibling
	} else {
		n.Next.Prev = sibling
	}
	n.Next = sibling
}

// Unlink takes n out of the tree, with what is below it.
func (n *Node) Unlink() {
	if n.Prev != nil {
		n.Prev.Next = n.Next
	} else if n.Parent != nil {
		n.Parent.FirstChild = n.Next
	}
	if n.Next != nil {
		n.Next.Prev = n.Prev
	} else if n.Parent != nil {
		n.Parent.LastChild = n.Prev
	}
	n.Parent, n.Prev, n.Next = nil, nil, nil
}

// Walk calls visit for n and everything below it, before the children of a node and, if it has a child or may have one,
// after them. It does not recurse, so no source makes it run out of stack.
func (n *Node) Walk(visit func(n *Node, entering bool)) {
	for at, entering := n, true; ; {
		visit(at, entering)
		switch {
		case entering && at.FirstChild != nil:
			at = at.FirstChild
		case entering && at.isContainer():
			entering = false
		case at == n:
			return
		case at.Next != nil:
			at, entering = at.Next, true
		default:
			at, entering = at.Parent, false
		}
	}
}

// isContainer reports whether Walk visits n twice.
func (n *Node) isContainer() bool {
	switch n.Kind {
	case Rule, CodeBlock, HTMLBlock, Text, SoftBreak, HardBreak, Code, HTML, CheckBox, FootnoteMark:
		return false
	}
	return true
}

// PlainText returns the text in n without its marks, and without HTML.
func (n *Node) PlainText() string { return n.text(false) }

// PlainTextAndHTML returns the text in n without its marks. HTML in it is left as it was written, without its comments.
func (n *Node) PlainTextAndHTML() string { return n.text(true) }

func (n *Node) text(withHTML bool) string {
	var text []byte
	n.Walk(func(n *Node, entering bool) {
		switch {
		case !entering:
		case n.Kind == Text, n.Kind == Code:
			text = append(text, n.Text...)
		case n.Kind == HTML && withHTML:
			text = append(text, WithoutComments(n.Text)...)
		case n.Kind == SoftBreak, n.Kind == HardBreak:
			text = append(text, ' ')
		}
	})
	return string(text)
}
