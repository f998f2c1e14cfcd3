// Package pages serves a folder to logged-in users under /pages/: Markdown as pages in loopkey's frame, HTML confined,
// pictures and other known types as they are. A Markdown file may require more than a login in its front matter:
//
//	---
//	title: Payroll
//	require:
//	  https://example.com/roles: [hr, admin]
//	acr: urn:example:mfa
//	max_age: 10m
//	---
//
// Nothing outside of the folder is ever read, nor a file or folder whose name begins with a dot or is that of a backup.
// Files of other types than those that browsers show are not served.
package pages

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// Path is where a Site is served.
const Path = "/pages/"

// maxMarkdown is how long a Markdown file may be, in bytes.
const maxMarkdown = 4 << 20

// Config says which folder is served, and to whom.
type Config struct {
	Dir    string
	Layout *layout.Layout // the frame around the pages
	// Claims returns the claims of the user who sent r, as the guard in front of the Site has found them.
	Claims func(r *http.Request) (provider.Claims, bool)
	Now    func() time.Time // compared with the auth_time of a login
}

// A Site serves the files of one folder.
type Site struct {
	cfg      Config
	root     *os.Root
	rendered rendered
	library  library
	settling time.Duration // of files; see stamp.go
}

// New opens the folder. Close closes it.
func New(cfg Config) (*Site, error) {
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of pages: %w", err)
	}
	s := &Site{cfg: cfg, root: root, settling: settling}
	s.library = library{site: s, every: lookEvery, patience: patience}
	return s, nil
}

// Close ends the use of the folder.
func (s *Site) Close() error {
	s.library.close()
	return s.root.Close()
}

//go:embed templates/*.html
var templateFiles embed.FS

var (
	markdownTemplate = layout.Template{Files: &templateFiles, File: "templates/markdown.html"}
	previewTemplate  = layout.Template{Files: &templateFiles, File: "templates/preview.html"}
	indexTemplate    = layout.Template{Files: &templateFiles, File: "templates/index.html"}
)

// ServeHTTP serves GET /pages/….
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	claims, ok := s.cfg.Claims(r)
	if !ok {
		s.cfg.Layout.Fail(w, r, http.StatusUnauthorized, layout.Problem{})
		return
	}
	s.serve(w, r, claims)
}

// serve sends what is at the path of r to the user who has these claims.
func (s *Site) serve(w http.ResponseWriter, r *http.Request, claims provider.Claims) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.cfg.Layout.Fail(w, r, http.StatusMethodNotAllowed, layout.Problem{})
		return
	}
	name, ok := nameOf(r.URL.Path)
	if !ok {
		s.notFound(w, r)
		return
	}
	if name == "." || strings.HasSuffix(r.URL.Path, "/") {
		s.folder(w, r, claims, name)
		return
	}
	// A Markdown file is found without its extension too. A file of exactly that name comes first, a folder last.
	for _, ext := range []string{"", ".md", ".markdown"} {
		if real, info, err := s.find(name + ext); err == nil && info.Mode().IsRegular() {
			s.file(w, r, claims, name+ext, real, info)
			return
		}
	}
	if _, info, err := s.find(name); err == nil && info.IsDir() {
		http.Redirect(w, r, pageURL(name)+"/", http.StatusSeeOther) //nolint:gosec // under /pages/, escaped
		return
	}
	s.notFound(w, r)
}

// allPages is the link from an error page to the list of everything.
func allPages() layout.Link { return layout.Link{Text: "All pages", URL: Path + "?" + allParam} }

func (s *Site) notFound(w http.ResponseWriter, r *http.Request) {
	s.cfg.Layout.Fail(w, r, http.StatusNotFound, layout.Problem{Links: []layout.Link{allPages()}})
}

// The parameters of a URL that lead to a list of pages, to what a search finds, and to the preview of a file.
const (
	allParam   = "all"
	queryParam = "q"
	viewParam  = "view"
)

// folder sends the folder's own page if it has one, else a list. An HTML file is no page for the whole: nothing would
// lead on from it.
func (s *Site) folder(w http.ResponseWriter, r *http.Request, claims provider.Claims, name string) {
	_, info, err := s.find(name)
	if err != nil || !info.IsDir() {
		s.notFound(w, r)
		return
	}
	if q := r.URL.Query(); !q.Has(allParam) && !q.Has(queryParam) {
		for _, index := range ownPages() {
			if name == "." && !isMarkdown(index) {
				continue
			}
			index = path.Join(name, index)
			if real, info, err := s.find(index); err == nil && info.Mode().IsRegular() {
				s.file(w, r, claims, index, real, info)
				return
			}
		}
	}
	s.index(w, r, claims, name)
}

// file sends one file. name is what the request named; real is where it lies once links are followed, and found is what
// was there.
func (s *Site) file(
	w http.ResponseWriter, r *http.Request, claims provider.Claims, name, real string, found fs.FileInfo,
) {
	// A link with another extension must not take off what the Markdown file behind it requires.
	drawn := isMarkdown(name) || isMarkdown(real)
	if drawn {
		page := s.rendered.get(name, real, stampOf(found))
		if page != nil && page.visitor == s.visitor(r) && page.beside == s.beside(r, claims) {
			if s.admit(w, r, page.require, claims) {
				layout.Send(w, r, http.StatusOK, page.content)
			}
			return
		}
	}
	f, err := s.root.Open(filepath.FromSlash(real))
	if err != nil {
		s.broken(w, r, name, "it can't be opened")
		return
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		s.notFound(w, r)
		return
	}
	if drawn {
		s.markdown(w, r, claims, name, real, f)
		return
	}
	// The type has to be known by both names: a link must not give a file another type.
	if contentType(name) == "" || contentType(real) == "" {
		s.notFound(w, r)
		return
	}
	if r.URL.RawQuery == viewParam && isDataFile(name) && isDataFile(real) {
		s.preview(w, r, name, f)
		return
	}
	confine(w.Header(), contentType(real))
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// visitor returns the name that the header of a page shows for r.
func (s *Site) visitor(r *http.Request) string {
	if s.cfg.Layout.Visitor == nil {
		return ""
	}
	name, _ := s.cfg.Layout.Visitor(r)
	return name
}

// markdown sends a rendered page if the login meets what the page requires.
func (s *Site) markdown(
	w http.ResponseWriter, r *http.Request, claims provider.Claims, name, real string, f *os.File,
) {
	began := time.Now()
	before, err := f.Stat()
	if err != nil {
		s.broken(w, r, name, "it can't be read to its end")
		return
	}
	source, err := io.ReadAll(io.LimitReader(f, maxMarkdown+1))
	switch {
	case err != nil:
		s.broken(w, r, name, "it can't be read to its end")
		return
	case len(source) > maxMarkdown:
		s.broken(w, r, name, fmt.Sprintf("it is longer than %d MB", maxMarkdown>>20))
		return
	}
	fm, body, err := readFrontMatter(source)
	if err != nil { // what it requires is not known, so nobody sees it
		s.broken(w, r, name, err.Error())
		return
	}
	if !s.admit(w, r, fm.require, claims) {
		return
	}
	doc, visitor := renderMarkdown(fm, body, pageURL(name)), s.visitor(r)
	known := s.library.look(r.Context(), s.library.every+pageAge)
	content, err := s.cfg.Layout.Draw(r, &markdownTemplate, layout.Page{
		Title: doc.title, Section: "pages", Script: "live.js", Visitor: visitor, Data: struct {
			Crumbs   []layout.Link
			Heading  string
			Body     any
			Sections []section
			Contents contents
		}{crumbs(name), doc.heading, doc.body, doc.contents(), s.contents(&known, claims, name)},
	})
	if err != nil {
		layout.Undrawn(w)
		return
	}
	// What was written to the file while it was read, or may be within the same tick of its clock, would not show in it.
	read := stampOf(before)
	if after, err := f.Stat(); err == nil && stampOf(after) == read && read.settled(began, s.settling) {
		s.rendered.put(name, real, &renderedPage{
			stamp: read, require: fm.require, visitor: visitor, content: content,
			beside: besideOf(&known, claims, s.cfg.Now()),
		})
	}
	layout.Send(w, r, http.StatusOK, content)
}

// broken says that a file is there but can't be shown, and why, to the user who may be able to fix it.
func (s *Site) broken(w http.ResponseWriter, r *http.Request, name, reason string) {
	s.cfg.Layout.Fail(w, r, http.StatusInternalServerError, layout.Problem{
		Title: "This page can't be shown",
		Why:   fmt.Sprintf("%s: %s.", words.Line(name, 200), words.Line(reason, 400)),
		Next:  "Fix the file and reload. Until then nobody sees it.",
		Links: []layout.Link{allPages()},
	})
}
