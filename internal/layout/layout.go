// Package layout is the frame around every local page: the header and the footer, the style sheet and the scripts, the
// Content-Security-Policy, and the pages for errors. The rooms that serve pages bring what goes into the frame.
package layout

import (
	"cmp"
	"embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/template"
	"github.com/loopkey/loopkey/internal/words"
)

//go:embed templates/*.html
var templateFiles embed.FS

// A Layout draws the pages of one server. The zero Layout draws them for nobody in particular.
type Layout struct {
	App      string // the program, for the header, the footer and the tab; "": loopkey
	Tenant   string // the issuer's host, for the footer
	Home     string // the path of the start page; "": /
	HasApp   bool   // an app has /, and the header links to it
	HasPages bool   // the header links to /pages/
	// Visitor returns the name that the header shows, if r comes from a browser that may see the user. It may be nil.
	Visitor func(r *http.Request) (name string, ok bool)
}

// Challenge returns the field WWW-Authenticate of a response to an API client (RFC 6750, section 3).
func (l *Layout) Challenge() string {
	return `Bearer realm="` + strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' { // a quoted-string needs no escapes then
			return '_'
		}
		return c
	}, cmp.Or(l.App, "loopkey")) + `"`
}

// A Page is what one page adds to the layout.
type Page struct {
	Title   string // for the tab; Layout.App follows it
	Section string // the link of the header that this page is under: home, profile, pages
	Script  string // the name of an asset, or ""
	Visitor string // the name that the header shows; "": as Layout.Visitor says
	Data    any    // what the page's own template draws
}

// A Template draws the inside of a page: it defines "main", and may define "head". Its file is parsed when the page is
// drawn for the first time, because commands that serve no page must not pay for it.
type Template struct {
	Files *embed.FS
	File  string

	once   sync.Once
	parsed *template.Template
	err    error
}

// parse returns the template in the frame that all pages have in common.
func (t *Template) parse() (*template.Template, error) {
	t.once.Do(func() {
		frame, err := templateFiles.ReadFile("templates/layout.html")
		if err != nil {
			t.err = err
			return
		}
		page, err := t.Files.ReadFile(t.File)
		if err != nil {
			t.err = err
			return
		}
		funcs := map[string]template.Func{"asset": func(name string) (any, error) { return assetURL(name) }}
		t.parsed, t.err = template.Parse([]string{"layout.html"}, funcs,
			template.Source{Name: "layout.html", Text: string(frame)}, template.Source{Name: t.File, Text: string(page)})
	})
	return t.parsed, t.err
}

// A person is the visitor as the header shows them.
type person struct{ Name, Initials string }

// Render sends the page that t describes. It draws all of it before it sends the first byte, so a page is whole or it
// is an error.
func (l *Layout) Render(w http.ResponseWriter, r *http.Request, status int, t *Template, p Page) {
	page, err := l.Draw(r, t, p)
	if err != nil {
		Undrawn(w)
		return
	}
	Send(w, r, status, page)
}

// Undrawn says that a page could not be drawn. That is our mistake, and no page of ours can say so.
func Undrawn(w http.ResponseWriter) {
	h := w.Header()
	localhost.Secure(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = fmt.Fprintln(w, "This page could not be drawn.")
}

// Send sends a page that was drawn.
func Send(w http.ResponseWriter, r *http.Request, status int, page []byte) {
	h := w.Header()
	localhost.Secure(h) // again: what was to be an app's response has none of that
	h["Content-Security-Policy"] = []string{policy(r)}
	h["Content-Type"] = htmlType
	if len(page) > alone {
		h["Content-Length"] = []string{strconv.Itoa(len(page))}
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(page)
	}
}

// alone is the size up to which net/http itself counts what a handler writes, and sends it without chunks.
const alone = 2048

// Values of headers that many responses share. Nothing writes to them: http.Header sets and adds in new slices.
var (
	htmlType = []string{"text/html; charset=utf-8"}
)

// Draw returns the page that t describes, as Render sends it.
func (l *Layout) Draw(r *http.Request, t *Template, p Page) ([]byte, error) {
	parsed, err := t.parse()
	if err != nil {
		return nil, err
	}
	view := struct {
		Page
		Visitor          *person
		App, Tenant      string
		Home             string
		HasApp, HasPages bool
	}{
		Page: p, App: cmp.Or(l.App, "loopkey"), Tenant: l.Tenant, Home: cmp.Or(l.Home, "/"),
		HasApp: l.HasApp, HasPages: l.HasPages,
	}
	name := p.Visitor
	if name == "" && l.Visitor != nil {
		name, _ = l.Visitor(r)
	}
	if name != "" {
		view.Visitor = &person{Name: name, Initials: words.Initials(name)}
	}
	return parsed.Append(nil, "layout.html", view)
}

// policy is the Content-Security-Policy of our own pages: they load what is ours and nothing else, no markup runs as a
// script or a style, and nobody frames them. A Markdown file may hold small pictures as data: URLs, of which only
// raster types are let through.
//
// Scripts and styles are those below AssetsPath alone: the folder of pages and an app behind the guard have files of
// the same origin. The host is that of the request, which OwnHost has checked.
func policy(r *http.Request) string {
	own := "http://" + r.Host + AssetsPath
	if strings.HasPrefix(r.Host, "[") { // a policy has no form for an IPv6 address
		own = "'self'"
	}
	return "default-src 'none'; style-src " + own + "; script-src " + own + "; img-src 'self' data:; " +
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}
