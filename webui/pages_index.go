package webui

import (
	"bytes"
	"cmp"
	"io"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

const (
	maxListed  = 2000     // pages in one list
	maxVisited = 20000    // files and folders looked at for it
	maxHead    = 64 << 10 // bytes of a file that are read for its title
	maxQuery   = 200      // characters of a search
)

// A listed page is one line of the index.
type listed struct {
	Title, URL, File, Note string
}

// A listedFolder is the pages of one folder.
type listedFolder struct {
	Name, URL string // Name is "" for the folder that the list is of
	Pages     []listed
}

// An index is what its template draws.
type index struct {
	Heading string
	Crumbs  []layout.Link
	Query   string
	Count   int
	Folders []listedFolder
	More    bool
}

// index answers with the pages at and below a folder, by folder and title, or
// with those that ?q= finds. A page that the claims do not open is not listed:
// its title may say what it holds. The files are read anew each time, so that the
// list is never older than they are.
func (p *pages) index(w http.ResponseWriter, r *http.Request, claims provider.Claims, dir string) {
	view := index{Heading: "Pages", Query: words.Line(r.URL.Query().Get("q"), maxQuery)}
	if dir != "." {
		view.Heading = words.Line(path.Base(dir), 200)
		view.Crumbs = crumbs(dir)
	}
	sought := strings.Fields(strings.ToLower(view.Query))
	folders := map[string][]listed{}
	visited := 0
	// The walk follows no link to a folder, so it ends; one to a file is listed.
	err := fs.WalkDir(p.root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
		visited++
		switch {
		case r.Context().Err() != nil:
			return r.Context().Err()
		case visited > maxVisited || view.Count >= maxListed:
			view.More = true
			return fs.SkipAll
		case err != nil || !isPlain(name): // a folder that can't be read hides what is in it, not the rest
			if entry != nil && entry.IsDir() && name != dir {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		}
		one, ok := p.list(name, claims)
		if ok && one.matches(sought) {
			folder := path.Dir(name)
			folders[folder] = append(folders[folder], one)
			view.Count++
		}
		return nil
	})
	if err != nil {
		p.layout.Fail(w, r, http.StatusInternalServerError, layout.Problem{Why: "The folder of pages can't be read."})
		return
	}
	for name, in := range folders {
		slices.SortFunc(in, func(a, b listed) int {
			return cmp.Or(strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title)), strings.Compare(a.File, b.File))
		})
		folder := listedFolder{Pages: in}
		if name != dir {
			folder.Name, folder.URL = words.Line(name, 200), pageURL(name)+"/"
		}
		view.Folders = append(view.Folders, folder)
	}
	slices.SortFunc(view.Folders, func(a, b listedFolder) int { return strings.Compare(a.URL, b.URL) })
	p.layout.Render(w, r, http.StatusOK, &pagesTemplate, layout.Page{Title: view.Heading, Section: "pages", Data: view})
}

// list returns the line of one file, or false if it has none.
func (p *pages) list(name string, claims provider.Claims) (listed, bool) {
	one := listed{URL: pageURL(name), File: words.Line(path.Base(name), 200)}
	one.Title = one.File
	real, info, err := p.find(name)
	if err != nil || !info.Mode().IsRegular() {
		return listed{}, false
	}
	switch ext := strings.ToLower(path.Ext(name)); {
	case isMarkdown(name):
		fm, body, err := p.head(real)
		if err != nil {
			one.Note = "cannot be read"
			return one, true
		}
		switch fm.require.check(claims, p.now()).outcome {
		case forbidden:
			return listed{}, false
		case stepUp:
			one.Note = "asks for another login"
		}
		one.Title = cmp.Or(pageTitle(fm, body, name), one.Title)
		if short, ok := strings.CutSuffix(name, ".md"); ok {
			if _, _, err := p.find(short); err != nil { // nothing else has the shorter name
				one.URL = pageURL(short)
			}
		}
	case ext == ".html" || ext == ".htm":
		head, _, err := p.read(real)
		if err != nil {
			one.Note = "cannot be read"
		}
		one.Title = cmp.Or(words.Line(htmlTitle(head), 200), one.Title)
	case ext == ".pdf" || ext == ".txt":
	default:
		return listed{}, false
	}
	return one, true
}

// head returns the front matter of a Markdown file and as much of its text as a title is looked for in.
func (p *pages) head(real string) (frontMatter, []byte, error) {
	source, whole, err := p.read(real)
	if err != nil {
		return frontMatter{}, nil, err
	}
	if end := bytes.LastIndexByte(source, '\n'); !whole && end >= 0 { // no character is cut in two
		source = source[:end+1]
	}
	return readFrontMatter(source)
}

// read returns the first bytes of a file, and whether they are all.
func (p *pages) read(real string) (source []byte, whole bool, err error) {
	f, err := p.root.Open(filepath.FromSlash(real))
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }()
	source, err = io.ReadAll(io.LimitReader(f, maxHead+1))
	if len(source) > maxHead {
		return source[:maxHead], false, err
	}
	return source, true, err
}

// matches reports whether every word is in the title or the name.
func (l listed) matches(sought []string) bool {
	text := strings.ToLower(l.Title + "\n" + l.File)
	return !slices.ContainsFunc(sought, func(word string) bool { return !strings.Contains(text, word) })
}
