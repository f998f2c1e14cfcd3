package pages

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"unicode"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
)

const (
	maxPreview = 128 << 10 // bytes of a file
	maxRows    = 200       // of a table
	maxColumns = 40
	maxLevels  = 32 // of JSON that is indented
)

// A preview is the beginning of a file of data, as its page shows it.
type preview struct {
	Crumbs     []layout.Link
	File, URL  string
	Head       []string   // of a table
	Rows       [][]string // of a table
	Text       string     // of a file that is no table
	Cut, Empty bool       // there is more of the file; there is nothing in it
}

// preview shows the beginning of a file of data in the frame.
func (s *Site) preview(w http.ResponseWriter, r *http.Request, name string, f io.Reader) {
	source, err := io.ReadAll(io.LimitReader(f, maxPreview+1))
	if err != nil {
		s.broken(w, r, name, "it can't be read")
		return
	}
	view := preview{Crumbs: crumbs(name), File: words.Line(path.Base(name), 200), URL: pageURL(name)}
	if view.Cut = len(source) > maxPreview; view.Cut {
		source = source[:maxPreview]
		if end := bytes.LastIndexByte(source, '\n'); end >= 0 { // no line is cut in two
			source = source[:end+1]
		}
	}
	text := strings.ToValidUTF8(strings.TrimPrefix(string(source), "\uFEFF"), "\uFFFD")
	view.Empty = strings.TrimSpace(text) == ""
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		view.table(text)
	case ".json":
		var indented bytes.Buffer
		if isShallow(source) && json.Indent(&indented, source, "", "  ") == nil {
			text = indented.String()
		}
	}
	if view.Head == nil {
		view.Text = plain(text)
	}
	s.cfg.Layout.Render(w, r, http.StatusOK, &previewTemplate,
		layout.Page{Title: view.File, Section: "pages", Script: "live.js", Data: view})
}

// isShallow reports whether a JSON text grows by indentation as one does that people read. Each line of it begins with
// two spaces for each level, so a small file of many levels would become a page of gigabytes.
func isShallow(source []byte) bool {
	in, level := json.NewDecoder(bytes.NewReader(source)), 0
	for {
		token, err := in.Token()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			level++
		case json.Delim(']'), json.Delim('}'):
			level--
		}
		if level > maxLevels {
			return false
		}
	}
}

// table reads a table. What is no table stays text.
func (p *preview) table(text string) {
	in := csv.NewReader(strings.NewReader(text))
	in.LazyQuotes, in.FieldsPerRecord = true, -1
	first, _, _ := strings.Cut(text, "\n")
	for _, comma := range ";\t" {
		if strings.Count(first, string(comma)) > strings.Count(first, ",") {
			in.Comma = comma
		}
	}
	for len(p.Rows) < maxRows {
		record, err := in.Read()
		if err != nil {
			return
		}
		if len(record) > maxColumns {
			record, p.Cut = record[:maxColumns], true
		}
		for i := range record {
			record[i] = words.Line(record[i], 300)
		}
		if p.Head == nil {
			p.Head = record
			continue
		}
		p.Rows = append(p.Rows, record)
	}
	if _, err := in.Read(); err == nil {
		p.Cut = true
	}
}

// plain returns a text without what a page does not show, or what turns the direction in which it is read.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return -1
		}
		return c
	}, text)
}
