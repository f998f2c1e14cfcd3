package pages

import (
	"bytes"
	"cmp"
	"html"
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
	maxStart   = 64 << 10 // bytes of a file that are read for its title
	maxQuery   = 200      // characters of a search
)

// A listedPage is one line of the index.
type listedPage struct {
	Title, URL, File, Note string
}

// A listedFolder is the pages of one folder.
type listedFolder struct {
	Name, URL string // Name is "" for the folder that the list is of
	Pages     []listedPage
}

// An index is what its template draws.
type index struct {
	Heading string
	Crumbs  []layout.Link
	Query   string
	Count   int
	Folders []listedFolder
	More    bool // the folder holds more than is listed
}

// index sends a list of the pages at and below a folder, by folder and title, or of those that ?q= finds. It leaves out
// the pages that the claims do not open, because a title may say what its page holds. Each file is looked at each time,
// and read again if it has changed, so the list is never out of date.
func (s *Site) index(w http.ResponseWriter, r *http.Request, claims provider.Claims, dir string) {
	view := index{Heading: "Pages", Query: words.Line(r.URL.Query().Get("q"), maxQuery)}
	if dir != "." {
		view.Heading = words.Line(path.Base(dir), 200)
		view.Crumbs = crumbs(dir)
	}
	sought := strings.Fields(strings.ToLower(view.Query))
	folders := map[string][]listedPage{}
	visited := 0
	look := looker{site: s}
	defer look.close()
	// The walk follows no link to a folder, so it ends; it lists a link to a file.
	err := fs.WalkDir(s.root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
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
		page, ok := s.list(&look, name, claims)
		if ok && page.matches(sought) {
			if short, ok := strings.CutSuffix(name, ".md"); ok {
				if _, _, err := look.find(short); err != nil { // nothing else has the shorter name
					page.URL = pageURL(short)
				}
			}
			folder := path.Dir(name)
			folders[folder] = append(folders[folder], page)
			view.Count++
		}
		return nil
	})
	if err != nil {
		s.cfg.Layout.Fail(w, r, http.StatusInternalServerError, layout.Problem{Why: "The folder of pages can't be read."})
		return
	}
	for name, in := range folders {
		slices.SortFunc(in, func(a, b listedPage) int {
			return cmp.Or(strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title)), strings.Compare(a.File, b.File))
		})
		folder := listedFolder{Pages: in}
		if name != dir {
			folder.Name, folder.URL = words.Line(name, 200), pageURL(name)+"/"
		}
		view.Folders = append(view.Folders, folder)
	}
	slices.SortFunc(view.Folders, func(a, b listedFolder) int { return strings.Compare(a.URL, b.URL) })
	s.cfg.Layout.Render(w, r, http.StatusOK, &indexTemplate,
		layout.Page{Title: view.Heading, Section: "pages", Data: view})
}

// list returns the line of one file, or false if it has none.
func (s *Site) list(look *looker, name string, claims provider.Claims) (listedPage, bool) {
	page := listedPage{URL: pageURL(name), File: words.Line(path.Base(name), 200)}
	page.Title = page.File
	real, info, err := look.find(name)
	if err != nil || !info.Mode().IsRegular() {
		return listedPage{}, false
	}
	switch ext := strings.ToLower(path.Ext(name)); {
	case isMarkdown(name):
		read := s.listing(name, real, info)
		if read.broken {
			page.Note = "cannot be read"
			return page, true
		}
		switch read.require.check(claims, s.cfg.Now()).outcome {
		case forbidden:
			return listedPage{}, false
		case stepUp:
			page.Note = "asks for another login"
		}
		page.Title = read.titleOr(page.Title)
	case ext == ".html" || ext == ".htm":
		read := s.listing(name, real, info)
		if read.broken {
			page.Note = "cannot be read"
		}
		page.Title = read.titleOr(page.Title)
	case ext == ".pdf" || ext == ".txt":
	default:
		return listedPage{}, false
	}
	return page, true
}

// frontMatter returns the front matter of a Markdown file and as much of its text as a title is looked for in.
func (s *Site) frontMatter(real string) (frontMatter, []byte, error) {
	source, whole, err := s.start(real)
	if err != nil {
		return frontMatter{}, nil, err
	}
	if end := bytes.LastIndexByte(source, '\n'); !whole && end >= 0 { // no character is cut in two
		source = source[:end+1]
	}
	return readFrontMatter(source)
}

// start returns the first bytes of a file, and whether they are all.
func (s *Site) start(real string) (source []byte, whole bool, err error) {
	f, err := s.root.Open(filepath.FromSlash(real))
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = f.Close() }()
	source, err = io.ReadAll(io.LimitReader(f, maxStart+1))
	if len(source) > maxStart {
		return source[:maxStart], false, err
	}
	return source, true, err
}

// matches reports whether every word is in the title or the name.
func (l listedPage) matches(sought []string) bool {
	text := strings.ToLower(l.Title + "\n" + l.File)
	return !slices.ContainsFunc(sought, func(word string) bool { return !strings.Contains(text, word) })
}

// htmlTitle returns the title of an HTML document from its first bytes, or "".
func htmlTitle(source []byte) string {
	text := string(source)
	lower := strings.ToLower(text) // of the same length where it matters: for ASCII
	start := strings.Index(lower, "<title")
	if start < 0 || len(lower) != len(text) {
		return ""
	}
	open := strings.IndexByte(lower[start:], '>')
	if open < 0 {
		return ""
	}
	start += open + 1
	end := strings.Index(lower[start:], "</title")
	if end < 0 {
		return ""
	}
	return html.UnescapeString(text[start : start+end])
}
