package markdown

import (
	"slices"
	"strings"
)

// table makes a table of a paragraph in which a line of dashes stands below a line with as many cells. What is before
// them stays a paragraph; what is behind them are the rows.
func (p *parser) table(paragraph *Node) {
	lines := strings.Split(strings.TrimRight(string(paragraph.block.content), "\n"), "\n")
	for i := 1; i < len(lines); i++ {
		aligns := alignments(lines[i])
		if aligns == nil {
			continue
		}
		header := cells(lines[i-1])
		if len(header) != len(aligns) {
			continue
		}
		t := &Node{Kind: Table, block: &block{}}
		paragraph.InsertAfter(t)
		t.block.lastLineBlank = paragraph.block.lastLineBlank
		if i == 1 {
			paragraph.Unlink()
		} else {
			paragraph.block.content = []byte(strings.Join(lines[:i-1], "\n"))
			paragraph.block.lastLineBlank = false
		}
		p.row(t, header, aligns)
		for _, line := range lines[i+1:] {
			p.row(t, cells(line), aligns)
		}
		return
	}
}

// maxPadding is how many cells may be added to all rows that lack them: a short source must not make a page that fills
// the memory.
const maxPadding = 100_000

// row adds a row with a cell for each column.
func (p *parser) row(table *Node, texts []string, aligns []Align) {
	r := &Node{Kind: Row, block: &block{}}
	table.Append(r)
	for i, align := range aligns {
		cell := &Node{Kind: Cell, Align: align, block: &block{}}
		if i < len(texts) {
			cell.block.content = []byte(texts[i])
		} else if p.padding++; p.padding > maxPadding {
			return
		}
		r.Append(cell)
	}
}

// alignments reads the line below the header of a table, and returns nil if it is none.
func alignments(line string) []Align {
	if !strings.Contains(line, "-") || strings.Trim(line, " \t|:-") != "" || !strings.ContainsAny(line, "|:") {
		return nil
	}
	var aligns []Align
	for _, cell := range cells(line) {
		dashes := strings.Trim(cell, ":")
		if dashes == "" || strings.Trim(dashes, "-") != "" || len(cell) > len(dashes)+2 ||
			strings.HasPrefix(cell, "::") || strings.HasSuffix(cell, "::") {
			return nil
		}
		aligns = append(aligns, alignment(cell[0] == ':', cell[len(cell)-1] == ':'))
	}
	return aligns
}

func alignment(left, right bool) Align {
	switch {
	case left && right:
		return AlignCenter
	case left:
		return AlignLeft
	case right:
		return AlignRight
	}
	return AlignNone
}

// cells splits a row at each | that no backslash escapes.
func cells(line string) []string {
	line = strings.Trim(line, " \t")
	line = strings.TrimPrefix(line, "|")
	var cells []string
	begin := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '|':
			cells = append(cells, line[begin:i])
			begin = i + 1
		}
	}
	if begin < len(line) {
		cells = append(cells, line[begin:])
	}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(strings.Trim(cell, " \t"), `\|`, "|")
	}
	return slices.Clip(cells)
}
