package pages

import (
	"bytes"
	"html"
	"io"
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
	maxListed  = 300      // pages in one list; of a larger folder it names the folders
	maxFolders = 500      // folders in it
	maxFound   = 30       // pages that a search shows
	maxStart   = 64 << 10 // bytes of a file that are read for its title, and searched
	maxQuery   = 200      // characters of a search
)

// A listedPage is one line of the index.
type listedPage struct {
	Title, URL, File, Note string
	Folder                 string  // of what a search has found
	Excerpt                []piece // of what a search has found
	Bad                    bool    // the note tells of a failure
}

// A listedFolder is the pages of one folder.
type listedFolder struct {
	Name, URL string // Name is "" for the folder that the list is of
	Count     int    // how many pages it has, if Pages does not have them
	Pages     []listedPage
}

// An index is what its template draws.
type index struct {
	Heading string
	Crumbs  []layout.Link
	Query   string
	Count   int
	Found   []listedPage   // what a search has found
	First   int            // how many of Count are in Found, where not all are
	Folders []listedFolder // without a search
	More    bool           // the folder holds more than is listed
	Reading bool           // not all files were read yet
	Read    int            // how many were, while Reading
	All     string         // the URL of the list of everything
}

// index sends a list of the pages at and below a folder, by folder and title, or of those that ?q= finds. It leaves out
// the pages that the claims do not open, because a title may say what its page holds. Each line is checked against its
// file before it is shown, and is made anew if the file has changed.
func (s *Site) index(w http.ResponseWriter, r *http.Request, claims provider.Claims, dir string) {
	view := index{
		Heading: "All pages", Query: words.Line(r.URL.Query().Get(queryParam), maxQuery), All: Path + "?" + allParam,
	}
	if dir != "." {
		view.Heading = words.Line(path.Base(dir), 200)
		view.Crumbs = crumbs(dir)
	}
	known := s.library.look(r.Context(), s.library.every)
	view.More = known.more
	if !known.whole {
		view.Reading, view.Read = true, len(known.entries)
	}
	now := s.cfg.Now()
	var entries []*entry
	for i := range known.entries {
		e := &known.entries[i]
		if dir != "." && !strings.HasPrefix(e.name, dir+"/") {
			continue
		}
		if _, ok := e.visible(claims, now); ok {
			entries = append(entries, e)
		}
	}
	look := looker{site: s}
	defer look.close()
	// line returns the line of a file as the file is now, or false if it has none.
	line := func(e *entry) (listedPage, *entry, bool) {
		current, _, ok := s.entryOf(&look, e.name, e, maxText)
		if !ok {
			return listedPage{}, nil, false
		}
		note, ok := current.visible(claims, now)
		return listedPage{
			Title: current.title, URL: current.url, File: current.file, Note: note, Bad: note == unreadable,
		}, &current, ok
	}
	if sought := soughtWords(view.Query); len(sought) > 0 {
		opens := func(e *entry) bool { return e.opens(claims, now) }
		view.search(s, find(entries, sought, opens), sought, opens, line)
	} else {
		view.list(entries, dir, line)
	}
	title := view.Heading
	if view.Query != "" {
		title = "Search"
	}
	s.cfg.Layout.Render(w, r, http.StatusOK, &indexTemplate,
		layout.Page{Title: title, Section: "pages", Script: "live.js", Data: view})
}

// search fills the index with what was found.
func (i *index) search(
	s *Site, found []*entry, sought []string, opens func(*entry) bool, line func(*entry) (listedPage, *entry, bool),
) {
	i.Count = len(found)
	for _, e := range found {
		if len(i.Found) == maxFound {
			break
		}
		page, current, ok := line(e)
		if !ok {
			i.Count--
			continue
		}
		if folder := path.Dir(e.name); folder != "." {
			page.Folder = words.Line(folder, 200)
		}
		if opens(current) {
			page.Excerpt = s.excerpt(current, sought)
		}
		i.Found = append(i.Found, page)
	}
	if len(i.Found) < i.Count {
		i.First = len(i.Found)
	}
}

// list fills the index with the pages at and below a folder.
func (i *index) list(entries []*entry, dir string, line func(*entry) (listedPage, *entry, bool)) {
	large := len(entries) > maxListed
	listed := 0
	at := map[string]int{} // where each folder is in i.Folders
	for _, e := range entries {
		in := path.Dir(e.name)
		folder, ok := at[in]
		if !ok {
			if len(i.Folders) == maxFolders {
				i.More = true
				continue
			}
			f := listedFolder{}
			if in != dir {
				f.Name, f.URL = words.Line(in, 200), pageURL(in)+"/"
			}
			folder, at[in] = len(i.Folders), len(i.Folders)
			i.Folders = append(i.Folders, f)
		}
		f := &i.Folders[folder]
		switch {
		case large && in != dir:
			f.Count++
			i.Count++
			continue
		case listed == maxListed:
			i.More = true
			continue
		}
		if page, _, ok := line(e); ok {
			f.Pages = append(f.Pages, page)
			listed++
			i.Count++
		}
	}
	slices.SortStableFunc(i.Folders, func(a, b listedFolder) int { return strings.Compare(a.URL, b.URL) })
	i.Folders = slices.DeleteFunc(i.Folders, func(f listedFolder) bool { return f.Pages == nil && f.Count == 0 })
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
