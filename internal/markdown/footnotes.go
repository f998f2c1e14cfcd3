package markdown

import "strings"

// A footnote is what the parser knows of a definition [^label]: text.
type footnote struct {
	node  *Node
	marks int // how many marks lead to it
}

// startFootnote opens a footnote. Those in quotes and lists are text.
func (p *parser) startFootnote(container *Node) bool {
	top := container.Kind == Document ||
		(container.Kind == Paragraph || container.Kind == List) && container.Parent.Kind == Document
	if p.indented || p.peekNext() != '[' || !top {
		return false
	}
	label, size := footnoteLabel(p.text[p.next:])
	if size == 0 || !strings.HasPrefix(p.text[p.next+size:], ":") {
		return false
	}
	p.closeUnmatched()
	p.advanceToNext()
	p.advance(size+1, false)
	p.add(Footnote).block.label = label
	return true
}

// footnoteLabel returns the label of [^label] that a text begins with, and the length of the whole, or 0.
func footnoteLabel(text string) (label string, size int) {
	rest, ok := strings.CutPrefix(text, "[^")
	if !ok {
		return "", 0
	}
	end := strings.IndexAny(rest[:min(len(rest), maxLabel)], "[] \t\n")
	if end < 1 || rest[end] != ']' {
		return "", 0
	}
	return normalize(rest[:end]), end + len("[^]")
}

// takeFootnotes takes the definitions out of the tree. Of several with one label the first counts.
func (p *parser) takeFootnotes() {
	for n := p.document.FirstChild; n != nil; {
		next := n.Next
		if n.Kind == Footnote {
			n.Unlink()
			if p.footnotes == nil {
				p.footnotes = map[string]*footnote{}
			}
			if _, defined := p.footnotes[n.block.label]; !defined {
				p.footnotes[n.block.label] = &footnote{node: n}
			}
		}
		n = next
	}
}

// mark makes a FootnoteMark of [^label], if there is such a footnote.
func (in *inlineParser) mark() bool {
	label, size := footnoteLabel(in.text[in.at:])
	f := in.footnotes[label]
	if size == 0 || f == nil {
		return false
	}
	if f.marks == 0 {
		in.noted = append(in.noted, f)
		f.node.Number = len(in.noted)
	}
	f.marks++
	f.node.Marks = f.marks
	in.add(&Node{Kind: FootnoteMark, Number: f.node.Number, Marks: f.marks})
	in.at += size
	return true
}

// endnotes parses the text of each footnote that a mark leads to, and puts them at the end of the document in the order
// of their first marks. Others are dropped.
func (p *parser) endnotes() {
	if len(p.noted) == 0 {
		return
	}
	notes := &Node{Kind: Footnotes}
	p.document.Append(notes)
	for i := 0; i < len(p.noted); i++ { // the text of one may have the first mark of another
		p.inlinesOf(p.noted[i].node)
		notes.Append(p.noted[i].node)
	}
}
