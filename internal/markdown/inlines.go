package markdown

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// inlinesOf parses the text of every block in root into inlines, once all references are defined.
func (p *parser) inlinesOf(root *Node) {
	var withText []*Node
	root.Walk(func(n *Node, entering bool) {
		if entering && (n.Kind == Paragraph || n.Kind == Heading || n.Kind == Cell) {
			withText = append(withText, n)
		}
	})
	for _, n := range withText {
		text := strings.Trim(string(n.block.content), " \t\n")
		if n.Kind == Paragraph && n.Prev == nil && n.Parent.Kind == Item {
			if mark, rest, ok := task(text); ok {
				n.Append(&Node{Kind: CheckBox, Checked: mark})
				text = rest
			}
		}
		in := &inlineParser{parser: p, block: n, text: text, noEnd: map[string]bool{}}
		in.parse()
	}
}

// task reports whether the text of an item begins with [ ] or [x].
func task(text string) (checked bool, rest string, ok bool) {
	if len(text) < 4 || text[0] != '[' || text[2] != ']' || text[3] != ' ' && text[3] != '\t' && text[3] != '\n' {
		return false, "", false
	}
	switch text[1] {
	case ' ':
		return false, strings.TrimLeft(text[3:], " \t\n"), true
	case 'x', 'X':
		return true, strings.TrimLeft(text[3:], " \t\n"), true
	}
	return false, "", false
}

// An inlineParser reads the text of one block from left to right. What may begin or end an emphasis or a link stands as
// text until its other end is found.
type inlineParser struct {
	*parser
	block *Node
	text  string
	at    int

	delimiters *delimiter // the last run of * _ or ~
	brackets   *bracket   // the last [ or ![
	openLinks  int        // how many of them are a [ that may begin a link
	noEnd      map[string]bool
	backticks  map[int]int // the last run of each length, once all are known
}

// A delimiter is a run of * _ or ~.
type delimiter struct {
	node              *Node
	position          int // one further than that of the run before
	char              byte
	length, original  int
	canOpen, canClose bool
	previous, next    *delimiter
}

// A bracket is a [ or ![.
type bracket struct {
	node     *Node
	previous *bracket
	below    *delimiter // the last delimiter before it
	at       int        // behind it
	image    bool
	inactive bool // a link is inside what it would begin, and links don't nest
	followed bool // another bracket follows
}

func (in *inlineParser) add(n *Node) *Node {
	in.block.Append(n)
	return n
}

func (in *inlineParser) addText(text string) *Node { return in.add(&Node{Kind: Text, Text: text}) }

func (in *inlineParser) parse() {
	for in.at < len(in.text) {
		switch c := in.text[in.at]; c {
		case '\n':
			in.lineEnd()
		case '\\':
			in.backslash()
		case '`':
			in.code()
		case '*', '_', '~':
			in.delimiter(c)
		case '[':
			if in.mark() {
				continue
			}
			in.at++
			in.open(false)
		case '!':
			in.at++
			if in.at < len(in.text) && in.text[in.at] == '[' {
				in.at++
				in.open(true)
			} else {
				in.addText("!")
			}
		case ']':
			in.close()
		case '<':
			in.angle()
		case '&':
			decoded, size := entity(in.text[in.at:])
			in.at += size
			in.addText(decoded)
		default:
			in.plain()
		}
	}
	in.emphasis(nil)
}

// plain reads text up to the next character that may mean something, or to a bare link.
func (in *inlineParser) plain() {
	begin := in.at
	for in.at < len(in.text) && strings.IndexByte("\n\\`*_~[]!<&", in.text[in.at]) < 0 {
		if link := in.bareLink(); link != nil {
			in.addText(in.text[begin:in.at])
			in.at += len(link.FirstChild.Text)
			in.add(link)
			return
		}
		in.at++
	}
	in.addText(in.text[begin:in.at])
}

func (in *inlineParser) lineEnd() {
	kind := SoftBreak
	if last := in.block.LastChild; last != nil && last.Kind == Text {
		if strings.HasSuffix(last.Text, "  ") {
			kind = HardBreak
		}
		last.Text = strings.TrimRight(last.Text, " \t")
	}
	in.nextLine(kind)
}

// nextLine ends a line, and passes over the spaces that the next one begins with.
func (in *inlineParser) nextLine(kind Kind) {
	in.add(&Node{Kind: kind})
	in.at++
	for in.at < len(in.text) && isBlank(in.text[in.at]) {
		in.at++
	}
}

func (in *inlineParser) backslash() {
	in.at++
	switch {
	case in.at < len(in.text) && in.text[in.at] == '\n':
		in.nextLine(HardBreak)
	case in.at < len(in.text) && isPunctuation(in.text[in.at]):
		in.addText(in.text[in.at : in.at+1])
		in.at++
	default:
		in.addText(`\`)
	}
}

// code reads a code span: it ends with as many backticks as it began with.
func (in *inlineParser) code() {
	length := run(in.text[in.at:])
	begin := in.at + length
	if in.backticks == nil {
		in.backticks = map[int]int{}
		for i := 0; i < len(in.text); {
			if in.text[i] != '`' {
				i++
				continue
			}
			size := run(in.text[i:])
			in.backticks[size] = i
			i += size
		}
	}
	for i := begin; i <= in.backticks[length]; {
		next := strings.IndexByte(in.text[i:], '`')
		if next < 0 {
			break
		}
		i += next
		size := run(in.text[i:])
		if size == length {
			text := strings.ReplaceAll(in.text[begin:i], "\n", " ")
			if len(text) > 2 && text[0] == ' ' && text[len(text)-1] == ' ' && strings.Trim(text, " ") != "" {
				text = text[1 : len(text)-1]
			}
			in.add(&Node{Kind: Code, Text: text})
			in.at = i + size
			return
		}
		i += size
	}
	in.addText(in.text[in.at:begin])
	in.at = begin
}

// run returns how often the first character of a text is repeated.
func run(text string) int {
	n := 1
	for n < len(text) && text[n] == text[0] {
		n++
	}
	return n
}

// angle reads <https://…>, <a@example.com> or a piece of HTML.
func (in *inlineParser) angle() {
	text := in.text[in.at:]
	if destination, size := autolink(text); size > 0 {
		link := in.add(&Node{Kind: Link, Destination: destination})
		link.Append(&Node{Kind: Text, Text: text[1 : size-1]})
		in.at += size
		return
	}
	size := in.html(text)
	if size == 0 {
		in.addText("<")
		in.at++
		return
	}
	in.add(&Node{Kind: HTML, Text: text[:size]})
	in.at += size
}

// html returns the length of the tag, comment, processing instruction, declaration or CDATA section that a text begins
// with, or 0.
func (in *inlineParser) html(text string) int {
	switch {
	case strings.HasPrefix(text, "<!-->"):
		return len("<!-->")
	case strings.HasPrefix(text, "<!--->"):
		return len("<!--->")
	case strings.HasPrefix(text, "<!--"):
		return in.until(text, len("<!--"), "-->")
	case strings.HasPrefix(text, "<?"):
		return in.until(text, len("<?"), "?>")
	case strings.HasPrefix(text, "<![CDATA["):
		return in.until(text, len("<![CDATA["), "]]>")
	case len(text) > 2 && text[:2] == "<!" && isLetter(text[2]):
		return in.until(text, len("<!"), ">")
	}
	return tag(text)
}

// until returns where end ends in a text, or 0. What was once sought in vain is not sought again further on.
func (in *inlineParser) until(text string, from int, end string) int {
	if in.noEnd[end] {
		return 0
	}
	i := strings.Index(text[from:], end)
	if i < 0 {
		in.noEnd[end] = true
		return 0
	}
	return from + i + len(end)
}

// delimiter reads a run of * _ or ~.
func (in *inlineParser) delimiter(c byte) {
	length := run(in.text[in.at:])
	before, _ := utf8.DecodeLastRuneInString(in.text[:in.at])
	after, _ := utf8.DecodeRuneInString(in.text[in.at+length:])
	if in.at == 0 {
		before = '\n'
	}
	if in.at+length == len(in.text) {
		after = '\n'
	}
	in.at += length
	node := in.addText(in.text[in.at-length : in.at])
	left := !unicode.IsSpace(after) && (!isMark(after) || unicode.IsSpace(before) || isMark(before))
	right := !unicode.IsSpace(before) && (!isMark(before) || unicode.IsSpace(after) || isMark(after))
	d := &delimiter{
		node: node, char: c, length: length, original: length,
		canOpen: left, canClose: right, previous: in.delimiters,
	}
	switch {
	case c == '_':
		d.canOpen = left && (!right || isMark(before))
		d.canClose = right && (!left || isMark(after))
	case c == '~' && length > 2:
		return
	}
	d.position = 1
	if d.previous != nil {
		d.position += d.previous.position
		d.previous.next = d
	}
	in.delimiters = d
}

// isMark reports whether c is punctuation or a symbol, of any script.
func isMark(c rune) bool { return unicode.IsPunct(c) || unicode.IsSymbol(c) }

func (in *inlineParser) forget(d *delimiter) {
	if d.previous != nil {
		d.previous.next = d.next
	}
	if d.next != nil {
		d.next.previous = d.previous
	} else {
		in.delimiters = d.previous
	}
}

// emphasis makes emphasis of the runs above bottom: each that can close looks for the nearest one that can open it.
func (in *inlineParser) emphasis(bottom *delimiter) {
	type sought struct {
		char    byte
		canOpen bool
		length  int
	}
	if in.delimiters == bottom {
		return
	}
	inVain := map[sought]int{} // the positions up to which none was found
	closer := in.delimiters
	for closer != nil && closer.previous != bottom {
		closer = closer.previous
	}
	for closer != nil && in.delimiters != bottom {
		if !closer.canClose {
			closer = closer.next
			continue
		}
		key := sought{closer.char, closer.canOpen, closer.original % 3}
		if closer.char == '~' {
			key.length = closer.length
		}
		floor := inVain[key]
		opener := closer.previous
		for opener != nil && opener != bottom && opener.position > floor && !opener.opens(closer) {
			opener = opener.previous
		}
		if opener != nil && opener != bottom && opener.position > floor {
			closer = in.emphasize(opener, closer)
			continue
		}
		next := closer.next
		if closer.previous != nil {
			inVain[key] = closer.previous.position
		}
		if !closer.canOpen {
			in.forget(closer)
		}
		closer = next
	}
	for in.delimiters != nil && in.delimiters != bottom {
		in.forget(in.delimiters)
	}
}

// opens reports whether an emphasis that d begins may end with closer (rules 9 and 10 of the specification).
func (d *delimiter) opens(closer *delimiter) bool {
	if d.char != closer.char || !d.canOpen {
		return false
	}
	if d.char == '~' {
		return d.length == closer.length
	}
	return !closer.canOpen && !d.canClose || closer.original%3 == 0 || (d.original+closer.original)%3 != 0
}

// emphasize puts what is between two runs into an emphasis, and returns the run to go on with.
func (in *inlineParser) emphasize(opener, closer *delimiter) *delimiter {
	n, used := &Node{Kind: Emphasis}, 1
	switch {
	case opener.char == '~':
		n.Kind, used = Strikethrough, opener.length
	case opener.length >= 2 && closer.length >= 2:
		n.Kind, used = Strong, 2
	}
	for opener.node.Next != closer.node {
		n.Append(opener.node.Next)
	}
	opener.node.InsertAfter(n)
	for d := closer.previous; d != opener; d = closer.previous {
		in.forget(d)
	}
	for _, d := range []*delimiter{opener, closer} {
		d.length -= used
		d.node.Text = d.node.Text[used:]
	}
	next := closer
	if closer.length == 0 {
		next = closer.next
	}
	for _, d := range []*delimiter{opener, closer} {
		if d.length == 0 {
			d.node.Unlink()
			in.forget(d)
		}
	}
	return next
}

func (in *inlineParser) open(image bool) {
	text := "["
	if image {
		text = "!["
	} else {
		in.openLinks++
	}
	if in.brackets != nil {
		in.brackets.followed = true
	}
	in.brackets = &bracket{node: in.addText(text), previous: in.brackets, below: in.delimiters, at: in.at, image: image}
}

// close reads a ] and makes a link or an image of what is before it, if it is one.
func (in *inlineParser) close() {
	opener := in.brackets
	begin := in.at
	in.at++
	if opener == nil {
		in.addText("]")
		return
	}
	in.brackets = opener.previous
	if opener.inactive {
		in.addText("]")
		return
	}
	if !opener.image {
		in.openLinks--
	}
	found, size := in.target(opener, begin)
	if size < 0 {
		in.addText("]")
		return
	}
	in.at += size
	link := &Node{Kind: Link, Destination: found.destination, Title: found.title}
	if opener.image {
		link.Kind = Image
	}
	for opener.node.Next != nil {
		link.Append(opener.node.Next)
	}
	in.add(link)
	in.emphasis(opener.below)
	opener.node.Unlink()
	if !opener.image {
		in.closeLinks()
	}
}

// closeLinks lets no bracket begin a link that would have another inside.
func (in *inlineParser) closeLinks() {
	if in.openLinks == 0 {
		return
	}
	for b := in.brackets; b != nil && !b.inactive; b = b.previous {
		b.inactive = !b.image
	}
	in.openLinks = 0
}

// target returns where a link or an image leads, and the length of what says so behind its ], or -1 if nothing does.
func (in *inlineParser) target(opener *bracket, end int) (found reference, size int) {
	rest := in.text[in.at:]
	if found, size = inlineTarget(rest); size > 0 {
		return found, size
	}
	label := ""
	size = linkLabel(rest)
	switch {
	case size > 2:
		label = rest[1 : size-1]
	case !opener.followed:
		label = in.text[opener.at:end]
	default:
		return reference{}, -1
	}
	if len(label) > 4*maxLabel {
		return reference{}, -1
	}
	found, ok := in.references[normalize(label)]
	if in.budget -= len(found.destination) + len(found.title); !ok || in.budget < 0 {
		return reference{}, -1
	}
	return found, size
}

// inlineTarget reads (destination "title"), and returns its length, or 0 if there is none.
func inlineTarget(text string) (found reference, size int) {
	if !strings.HasPrefix(text, "(") {
		return reference{}, 0
	}
	i := skipLine(text, 1)
	destination, size, ok := linkDestination(text[i:])
	if !ok {
		return reference{}, 0
	}
	i += size
	title := ""
	if spaced := skipLine(text, i); spaced > i {
		i = spaced
		t, size := linkTitle(text[i:])
		title = t
		i = skipLine(text, i+size)
	}
	if i == len(text) || text[i] != ')' {
		return reference{}, 0
	}
	return reference{destination, title}, i + 1
}
