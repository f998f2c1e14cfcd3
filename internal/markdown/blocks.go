package markdown

import (
	"strings"
)

// maxDepth is how deep quotes and lists nest. Deeper ones are text: without a limit each blank line would cost as much
// as all the lists that it may belong to.
const maxDepth = 32

// A parser reads a source line by line into blocks, then the text of each block into inlines. It follows the strategy
// that the specification describes ("A parsing strategy"), as the reference implementation carries it out.
type parser struct {
	document   *Node
	references map[string]reference
	footnotes  map[string]*footnote
	noted      []*footnote // those that marks lead to, in the order of their numbers
	budget     int         // how many more bytes references may copy out of their definitions
	padding    int         // how many cells were added to rows that lack them

	tip         *Node // the block that the last line went to
	oldTip      *Node // the tip when the line began
	lastMatched *Node // the deepest open block that the line goes on
	allClosed   bool  // no block between lastMatched and oldTip is open

	text                 string // the line
	offset, column       int    // where it is read
	next, nextColumn     int    // where the next character is that is no space
	indent               int    // columns between the two
	indented, blank      bool   // by four columns or more; nothing but spaces is left
	partiallyConsumedTab bool
}

// A reference is the definition of a link elsewhere in the text.
type reference struct{ destination, title string }

// A block is what the parser knows of a block while it is open.
type block struct {
	content       []byte
	isOpen        bool
	depth         int  // how many quotes and items it is in
	lastLineBlank bool // the last line that went to it was blank
	lastLineSeen  bool // the list above has looked at lastLineBlank
	isNew         bool // no line after its first one went to it

	marker  marker // of a List and an Item
	fence   fence  // of a CodeBlock; the zero fence is an indented one
	label   string // of a Footnote
	htmlEnd int    // of an HTMLBlock: which condition ends it, 1 to 7
}

// A marker begins the item of a list.
type marker struct {
	char    byte // - + * or the . ) behind a number
	ordered bool
	start   int
	offset  int // columns before it
	padding int // columns from there to the text
}

// A fence begins and ends a code block.
type fence struct {
	char           byte
	length, offset int
}

// cutLine returns the first line of a text without its end, and what is behind it.
func cutLine(text string) (line, rest string) {
	i := strings.IndexAny(text, "\r\n")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimPrefix(strings.TrimPrefix(text[i:], "\r"), "\n")
}

func (p *parser) open(kind Kind) *Node {
	return &Node{Kind: kind, block: &block{isOpen: true, isNew: true}}
}

// add opens a block in the deepest open one that may contain it.
func (p *parser) add(kind Kind) *Node {
	for !p.tip.mayContain(kind) {
		p.close(p.tip)
	}
	n := p.open(kind)
	n.block.depth = p.tip.block.depth
	if kind == Quote || kind == Item {
		n.block.depth++
	}
	p.tip.Append(n)
	p.tip = n
	return n
}

func (n *Node) mayContain(kind Kind) bool {
	switch n.Kind {
	case Document, Quote, Item, Footnote:
		return kind != Item
	case List:
		return kind == Item
	}
	return false
}

// acceptsLines reports whether the text of lines goes to n itself.
func (n *Node) acceptsLines() bool {
	return n.Kind == Paragraph || n.Kind == CodeBlock || n.Kind == HTMLBlock
}

// line reads one line.
func (p *parser) line(text string) {
	p.text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	p.offset, p.column, p.blank, p.partiallyConsumedTab = 0, 0, false, false
	p.oldTip = p.tip
	container, done := p.match()
	if done {
		return
	}
	p.allClosed = container == p.oldTip
	p.lastMatched = container
	container = p.start(container)
	p.take(container)
	container.block.isNew = false
}

// match goes down the open blocks as far as the line continues them. It is done where the line closes a fence.
func (p *parser) match() (container *Node, done bool) {
	container = p.document
	for last := container.LastChild; last != nil && last.block.isOpen; last = container.LastChild {
		p.findNext()
		matched, closed := p.goesOn(last)
		if closed {
			return nil, true
		}
		if !matched {
			break
		}
		container = last
	}
	return container, false
}

// goesOn reports whether the line continues an open block, and takes the marks of the block from the line. closed is
// true if the line ends a fenced code block.
func (p *parser) goesOn(n *Node) (matched, closed bool) {
	switch b := n.block; n.Kind {
	case Quote:
		if p.indented || p.peekNext() != '>' {
			return false, false
		}
		p.takeQuoteMark()
	case Item:
		switch {
		case p.blank && n.FirstChild == nil:
			return false, false
		case p.blank:
			p.advanceToNext()
		case p.indent >= b.marker.offset+b.marker.padding:
			p.advance(b.marker.offset+b.marker.padding, true)
		default:
			return false, false
		}
	case Footnote:
		switch {
		case p.blank && n.FirstChild != nil:
			p.advanceToNext()
		case !p.blank && p.indented:
			p.advance(4, true)
		default:
			return false, false
		}
	case Heading, Rule:
		return false, false
	case CodeBlock:
		switch {
		case b.fence.length > 0 && p.closesFence(b.fence):
			p.close(n)
			return false, true
		case b.fence.length > 0:
			for i := b.fence.offset; i > 0 && isBlank(p.peek()); i-- {
				p.advance(1, true)
			}
		case p.indented:
			p.advance(4, true)
		case p.blank:
			p.advanceToNext()
		default:
			return false, false
		}
	case HTMLBlock:
		return !p.blank || b.htmlEnd < 6, false
	case Paragraph:
		return !p.blank, false
	}
	return true, false
}

// takeQuoteMark takes > and the space behind it.
func (p *parser) takeQuoteMark() {
	p.advanceToNext()
	p.advance(1, false)
	if isBlank(p.peek()) {
		p.advance(1, true)
	}
}

func (p *parser) closesFence(f fence) bool {
	if p.indented || p.peekNext() != f.char {
		return false
	}
	rest := strings.TrimRight(p.text[p.next:], " \t")
	return len(rest) >= f.length && strings.Trim(rest, string(f.char)) == ""
}

// start opens the blocks that the line begins in container, and returns the deepest.
func (p *parser) start(container *Node) *Node {
	leaf := container.Kind != Paragraph && container.acceptsLines()
	for !leaf {
		p.findNext()
		if !p.indented && p.next < len(p.text) && !strings.ContainsRune("#`~*+_=<>-[0123456789", rune(p.text[p.next])) {
			break
		}
		var started bool
		started, leaf = p.startOne(container)
		if !started {
			break
		}
		container = p.tip
	}
	if !leaf {
		p.advanceToNext()
	}
	return container
}

// startOne opens the block that begins at the next character, if one does. leaf is true if no block begins inside it.
func (p *parser) startOne(container *Node) (started, leaf bool) {
	nests := container.block.depth < maxDepth
	switch {
	case nests && p.startQuote():
		return true, false
	case p.startHeading(), p.startFence(), p.startHTML(container), p.startSetext(container), p.startRule():
		return true, true
	case nests && p.startItem(container), p.startFootnote(container):
		return true, false
	case p.startIndented():
		return true, true
	}
	return false, false
}

func (p *parser) startQuote() bool {
	if p.indented || p.peekNext() != '>' {
		return false
	}
	p.takeQuoteMark()
	p.closeUnmatched()
	p.add(Quote)
	return true
}

// startHeading opens a heading that begins with #.
func (p *parser) startHeading() bool {
	if p.indented {
		return false
	}
	rest := p.text[p.next:]
	level := len(rest) - len(strings.TrimLeft(rest, "#"))
	if level < 1 || level > 6 || level < len(rest) && !isBlank(rest[level]) {
		return false
	}
	rest = strings.Trim(rest[level:], " \t")
	if without := strings.TrimRight(rest, "#"); without == "" || isBlank(without[len(without)-1]) {
		rest = strings.TrimRight(without, " \t")
	}
	p.closeUnmatched()
	heading := p.add(Heading)
	heading.Level, heading.block.content = level, []byte(rest)
	p.advance(len(p.text)-p.offset, false)
	return true
}

func (p *parser) startFence() bool {
	c := p.peekNext()
	if p.indented || c != '`' && c != '~' {
		return false
	}
	rest := p.text[p.next:]
	length := len(rest) - len(strings.TrimLeft(rest, string(c)))
	if length < 3 || c == '`' && strings.Contains(rest[length:], "`") {
		return false
	}
	p.closeUnmatched()
	code := p.add(CodeBlock)
	code.block.fence = fence{c, length, p.indent}
	p.advanceToNext()
	p.advance(length, false)
	return true
}

func (p *parser) startHTML(container *Node) bool {
	if p.indented || p.peekNext() != '<' {
		return false
	}
	end := htmlStart(p.text[p.next:])
	interrupts := container.Kind == Paragraph || !p.allClosed && !p.blank && p.tip.Kind == Paragraph
	if end == 0 || end == 7 && interrupts {
		return false
	}
	p.closeUnmatched()
	p.add(HTMLBlock).block.htmlEnd = end
	return true
}

// startSetext makes a heading of a paragraph that is underlined.
func (p *parser) startSetext(container *Node) bool {
	c := p.peekNext()
	if p.indented || container.Kind != Paragraph || c != '=' && c != '-' ||
		strings.TrimLeft(strings.TrimRight(p.text[p.next:], " \t"), string(c)) != "" {
		return false
	}
	p.closeUnmatched()
	p.define(container.block)
	if len(container.block.content) == 0 {
		return false
	}
	heading := p.open(Heading)
	heading.block.depth = container.block.depth
	heading.block.content = container.block.content
	heading.Level = 2
	if c == '=' {
		heading.Level = 1
	}
	container.InsertAfter(heading)
	container.Unlink()
	p.tip = heading
	p.advance(len(p.text)-p.offset, false)
	return true
}

func (p *parser) startRule() bool {
	c := p.peekNext()
	if p.indented || !isRule(p.text[p.next:], c) {
		return false
	}
	p.closeUnmatched()
	p.add(Rule)
	p.advance(len(p.text)-p.offset, false)
	return true
}

// isRule reports whether a text is three or more of c, which is * - or _, with spaces between.
func isRule(text string, c byte) bool {
	if c != '*' && c != '-' && c != '_' {
		return false
	}
	n := 0
	for i := range len(text) {
		switch {
		case text[i] == c:
			n++
		case !isBlank(text[i]):
			return false
		}
	}
	return n >= 3
}

func (p *parser) startItem(container *Node) bool {
	if p.indented && container.Kind != List {
		return false
	}
	m, ok := p.takeMarker(container)
	if !ok {
		return false
	}
	p.closeUnmatched()
	if p.tip.Kind != List || !p.tip.block.marker.continues(m) {
		list := p.add(List)
		list.block.marker = m
		list.Ordered, list.Start = m.ordered, m.start
	}
	p.add(Item).block.marker = m
	return true
}

// continues reports whether an item with the marker next belongs to the list that began with m.
func (m marker) continues(next marker) bool { return m.ordered == next.ordered && m.char == next.char }

// takeMarker takes the marker of an item and the space behind it.
func (p *parser) takeMarker(container *Node) (m marker, ok bool) {
	if p.indent >= 4 {
		return marker{}, false
	}
	rest := p.text[p.next:]
	m = marker{offset: p.indent}
	width := 1
	switch c := p.peekNext(); {
	case c == '*' || c == '+' || c == '-':
		m.char = c
	case isDigit(c):
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits > 9 || digits == len(rest) || rest[digits] != '.' && rest[digits] != ')' {
			return marker{}, false
		}
		for i := range digits {
			m.start = m.start*10 + int(rest[i]-'0')
		}
		if container.Kind == Paragraph && m.start != 1 {
			return marker{}, false
		}
		m.char, m.ordered, width = rest[digits], true, digits+1
	default:
		return marker{}, false
	}
	after := rest[width:]
	if after != "" && !isBlank(after[0]) || container.Kind == Paragraph && strings.Trim(after, " \t") == "" {
		return marker{}, false
	}
	p.advanceToNext()
	p.advance(width, true)
	column, offset, tab := p.column, p.offset, p.partiallyConsumedTab
	for p.column-column < 5 && isBlank(p.peek()) {
		p.advance(1, true)
	}
	spaces := p.column - column
	if spaces >= 5 || spaces < 1 || p.offset == len(p.text) {
		m.padding = width + 1
		p.column, p.offset, p.partiallyConsumedTab = column, offset, tab
		if isBlank(p.peek()) {
			p.advance(1, true)
		}
	} else {
		m.padding = width + spaces
	}
	return m, true
}

func (p *parser) startIndented() bool {
	if !p.indented || p.tip.Kind == Paragraph || p.blank {
		return false
	}
	p.advance(4, true)
	p.closeUnmatched()
	p.add(CodeBlock)
	return true
}

// take adds the rest of the line to container, or to the paragraph that it goes on though its marks are lacking.
func (p *parser) take(container *Node) {
	if !p.allClosed && !p.blank && p.tip.Kind == Paragraph {
		p.takeText()
		return
	}
	p.closeUnmatched()
	p.noteBlank(container)
	switch {
	case container.acceptsLines():
		p.takeText()
		if container.Kind == HTMLBlock && htmlEnds(container.block.htmlEnd, p.text[p.offset:]) {
			p.close(container)
		}
	case p.offset < len(p.text) && !p.blank:
		p.add(Paragraph)
		p.advanceToNext()
		p.takeText()
	}
}

// noteBlank keeps, for the lists that container is in, whether the line is blank.
func (p *parser) noteBlank(container *Node) {
	if p.blank && container.LastChild != nil {
		container.LastChild.block.lastLineBlank = true
	}
	blank := p.blank
	switch container.Kind {
	case Quote, Heading, Rule:
		blank = false
	case CodeBlock:
		blank = blank && container.block.fence.length == 0
	case Item:
		blank = blank && (container.FirstChild != nil || !container.block.isNew)
	}
	for n := container; n != nil; n = n.Parent {
		n.block.lastLineBlank = blank
	}
}

func (p *parser) takeText() {
	b := p.tip.block
	if p.partiallyConsumedTab {
		p.offset++
		b.content = append(b.content, "    "[:4-p.column%4]...)
	}
	b.content = append(append(b.content, p.text[p.offset:]...), '\n')
}

func (p *parser) closeUnmatched() {
	if p.allClosed {
		return
	}
	for p.oldTip != p.lastMatched {
		parent := p.oldTip.Parent
		p.close(p.oldTip)
		p.oldTip = parent
	}
	p.allClosed = true
}

// close ends an open block.
func (p *parser) close(n *Node) {
	parent := n.Parent
	b := n.block
	b.isOpen = false
	switch n.Kind {
	case CodeBlock:
		n.Text = string(b.content)
		if b.fence.length > 0 {
			n.Info, n.Text = cutLine(n.Text)
			n.Info = unescape(strings.Trim(n.Info, " \t"))
		} else {
			n.Text = trimBlankLines(n.Text)
		}
	case HTMLBlock:
		n.Text = strings.TrimRight(string(b.content), " \n")
	case Paragraph:
		p.define(b)
		if len(b.content) == 0 {
			n.Unlink()
		} else {
			p.table(n)
		}
	case List:
		n.Tight = isTight(n)
	}
	p.tip = parent
}

// trimBlankLines takes the blank lines from the end of a text.
func trimBlankLines(text string) string {
	for {
		text = strings.TrimRight(text, "\n")
		i := strings.LastIndexByte(text, '\n')
		if i < 0 || strings.Trim(text[i:], " \n") != "" {
			return text + "\n"
		}
		text = text[:i]
	}
}

// define takes the definitions of references from the beginning of a paragraph.
func (p *parser) define(b *block) {
	text := string(b.content)
	for strings.HasPrefix(text, "[") {
		length, label, found := definition(text)
		if length == 0 {
			break
		}
		if _, defined := p.references[label]; !defined {
			p.references[label] = found
		}
		text = text[length:]
	}
	if strings.Trim(text, " \t\n") == "" {
		text = ""
	}
	b.content = []byte(text)
}

// isTight reports whether no blank line stands between the items of a list, nor between the blocks in them.
func isTight(list *Node) bool {
	for item := list.FirstChild; item != nil; item = item.Next {
		if item.Next != nil && endsBlank(item) {
			return false
		}
		for n := item.FirstChild; n != nil; n = n.Next {
			if (item.Next != nil || n.Next != nil) && endsBlank(n) {
				return false
			}
		}
	}
	return true
}

// endsBlank reports whether a block ends with a blank line, or the last block in it.
func endsBlank(n *Node) bool {
	for ; n != nil; n = n.LastChild {
		if n.block.lastLineBlank {
			return true
		}
		seen := n.block.lastLineSeen
		n.block.lastLineSeen = true
		if seen || n.Kind != List && n.Kind != Item {
			return false
		}
	}
	return false
}

// peek returns the character at the offset, or 0 at the end of the line.
func (p *parser) peek() byte {
	if p.offset < len(p.text) {
		return p.text[p.offset]
	}
	return 0
}

// peekNext returns the next character that is no space, or 0 at the end of the line.
func (p *parser) peekNext() byte {
	if p.next < len(p.text) {
		return p.text[p.next]
	}
	return 0
}

// findNext looks for the next character that is no space.
func (p *parser) findNext() {
	i, column := p.offset, p.column
	for ; i < len(p.text) && isBlank(p.text[i]); i++ {
		if p.text[i] == '\t' {
			column += 4 - column%4
		} else {
			column++
		}
	}
	p.blank = i == len(p.text)
	p.next, p.nextColumn = i, column
	p.indent = column - p.column
	p.indented = p.indent >= 4
}

func (p *parser) advanceToNext() {
	p.offset, p.column, p.partiallyConsumedTab = p.next, p.nextColumn, false
}

// advance goes on by characters, or by columns, of which a tab has up to four.
func (p *parser) advance(count int, columns bool) {
	for ; count > 0 && p.offset < len(p.text); count-- {
		p.partiallyConsumedTab = false
		if p.text[p.offset] != '\t' {
			p.offset++
			p.column++
			continue
		}
		width := 4 - p.column%4
		if columns {
			p.partiallyConsumedTab = width > count
			p.column += min(width, count)
			if !p.partiallyConsumedTab {
				p.offset++
			}
			count -= min(width, count) - 1
		} else {
			p.column += width
			p.offset++
		}
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
