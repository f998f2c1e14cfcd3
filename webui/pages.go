package webui

import (
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

const (
	pagesPath = "/pages/"
	// maxMarkdown is how long a Markdown file may be, in bytes.
	maxMarkdown = 4 << 20
	// stepUpWindow is how long after it was asked for another login a page takes that login for done.
	stepUpWindow = 10 * time.Minute
	// maxLinks is how many symbolic links a name may lead through.
	maxLinks = 8
)

// pages serves the files of one folder under /pages/: Markdown as pages of ours,
// anything else as it is. Nothing outside of the folder is ever read, nor a file
// or folder whose name begins with a dot.
type pages struct {
	root   *os.Root
	layout *layout.Layout
	now    func() time.Time
}

// newPages opens the folder dir. Close closes it.
func newPages(dir string) (*pages, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of pages: %w", err)
	}
	return &pages{root: root, layout: &layout.Layout{HasPages: true}, now: wall}, nil
}

// Close ends the use of the folder.
func (p *pages) Close() error { return p.root.Close() }

// serve answers GET /pages/… for the person whom claims are about. It does not ask who that is: the guard has.
func (p *pages) serve(w http.ResponseWriter, r *http.Request, claims provider.Claims) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		p.layout.Fail(w, r, http.StatusMethodNotAllowed, layout.Problem{})
		return
	}
	name, ok := pagePath(r.URL.Path)
	if !ok {
		p.notFound(w, r)
		return
	}
	if name == "." || strings.HasSuffix(r.URL.Path, "/") {
		p.folder(w, r, claims, name)
		return
	}
	// A page answers without its extension too; a file of exactly that name comes first, a folder last.
	for _, ext := range []string{"", ".md", ".markdown"} {
		if real, info, err := p.find(name + ext); err == nil && info.Mode().IsRegular() {
			p.file(w, r, claims, name+ext, real)
			return
		}
	}
	if _, info, err := p.find(name); err == nil && info.IsDir() {
		http.Redirect(w, r, pageURL(name)+"/", http.StatusSeeOther) //nolint:gosec // under /pages/, escaped
		return
	}
	p.notFound(w, r)
}

func (p *pages) notFound(w http.ResponseWriter, r *http.Request) {
	p.layout.Fail(w, r, http.StatusNotFound, layout.Problem{
		Why: "No page has this address.", Next: "It may have been moved or renamed.", Links: []layout.Link{{Text: "All pages", URL: pagesPath}},
	})
}

// folder answers with the folder's own page if it has one, else with a list. The list of everything is always at /pages/.
func (p *pages) folder(w http.ResponseWriter, r *http.Request, claims provider.Claims, name string) {
	_, info, err := p.find(name)
	if err != nil || !info.IsDir() {
		p.notFound(w, r)
		return
	}
	if name != "." {
		for _, index := range []string{"index.md", "index.html", "README.md"} {
			index = path.Join(name, index)
			if real, info, err := p.find(index); err == nil && info.Mode().IsRegular() {
				p.file(w, r, claims, index, real)
				return
			}
		}
	}
	p.index(w, r, claims, name)
}

// file answers with one file. name is what was asked for, real where it lies.
func (p *pages) file(w http.ResponseWriter, r *http.Request, claims provider.Claims, name, real string) {
	f, err := p.root.Open(filepath.FromSlash(real))
	if err != nil {
		p.broken(w, r, name, "it can't be opened")
		return
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		p.notFound(w, r)
		return
	}
	// Either name may say that it has front matter to be obeyed.
	if isMarkdown(name) || isMarkdown(real) {
		p.markdown(w, r, claims, name, f)
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType(real))
	h.Set("Cache-Control", "private, no-cache") // kept, but the guard is asked each time
	h.Set("Vary", "Cookie")
	protectFile(h, contentType(real))
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// filePolicy confines a file that a browser may show by itself. It has loopkey's
// origin, so it runs no script and sends no form: with them it could act as
// loopkey's own pages, and read what an app behind the guard keeps in the
// browser. An origin of its own (a sandbox without allow-same-origin) would let
// it run scripts, but browsers then send no cookie with what it loads, so that its
// style sheets and pictures would be refused. What needs scripts is an app: --upstream.
const filePolicy = "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox allow-downloads; " +
	"default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; media-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// protectFile sets the policy for a file of the folder, which is not ours.
func protectFile(h http.Header, contentType string) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if contentType == "application/pdf" { // browsers show it in an origin of its own, and not at all in a sandbox
		h.Set("Content-Security-Policy", "frame-ancestors 'none'")
		return
	}
	h.Set("Content-Security-Policy", filePolicy)
}

// markdown answers with a rendered page if the login meets what the page asks for.
func (p *pages) markdown(w http.ResponseWriter, r *http.Request, claims provider.Claims, name string, f io.Reader) {
	source, err := io.ReadAll(io.LimitReader(f, maxMarkdown+1))
	switch {
	case err != nil:
		p.broken(w, r, name, "it can't be read to its end")
		return
	case len(source) > maxMarkdown:
		p.broken(w, r, name, fmt.Sprintf("it is longer than %d MB", maxMarkdown>>20))
		return
	}
	fm, body, err := readFrontMatter(source)
	if err != nil { // what it asks for is not known, so nobody sees it
		p.broken(w, r, name, err.Error())
		return
	}
	if !p.admit(w, r, fm.require, claims) {
		return
	}
	doc, err := renderMarkdown(fm, body, pageURL(name))
	if err != nil {
		p.broken(w, r, name, "it can't be drawn")
		return
	}
	p.layout.Render(w, r, http.StatusOK, &markdownTemplate, layout.Page{Title: doc.title, Section: "pages", Data: struct {
		Crumbs  []layout.Link
		Heading string
		Body    any
	}{crumbs(name), doc.heading, doc.body}})
}

// broken says that a file is there but can't be shown, and why, to whom can mend it.
func (p *pages) broken(w http.ResponseWriter, r *http.Request, name, reason string) {
	p.layout.Fail(w, r, http.StatusInternalServerError, layout.Problem{
		Title: "This page can't be shown",
		Why:   fmt.Sprintf("%s: %s.", words.Line(name, 200), words.Line(reason, 400)),
		Next:  "Mend the file and reload. Until then nobody sees it.",
		Links: []layout.Link{{Text: "All pages", URL: pagesPath}},
	})
}

// admit reports whether the login meets what a page asks for, and answers if it
// does not. What another login can mend is asked for once: the way back to the
// page says when that was, and a login that still falls short is explained
// instead of being asked for again. Nobody gains by forging that mark.
func (p *pages) admit(w http.ResponseWriter, r *http.Request, q requirement, claims provider.Claims) bool {
	now := p.now()
	v := q.check(claims, now)
	stepped, marked := steppedUp(r, now)
	switch {
	case v.outcome == allowed && marked && layout.WantsPage(r):
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, hereWithout(r.URL), http.StatusSeeOther) //nolint:gosec // this path, which the mux has cleaned
	case v.outcome == allowed:
		return true
	case v.outcome == stepUp && !layout.WantsPage(r): // RFC 9470, section 3
		challenge := `Bearer realm="loopkey", error="insufficient_user_authentication"`
		if v.acr != nil {
			challenge += `, acr_values="` + strings.Join(v.acr, " ") + `"`
		}
		if v.maxAge > 0 {
			challenge += ", max_age=" + seconds(v.maxAge)
		}
		w.Header().Set("WWW-Authenticate", challenge)
		layout.FailJSON(w, http.StatusUnauthorized, layout.Problem{Title: "Another login is needed", Why: "This page asks for more than the present login.", Notes: v.lacks})
	case v.outcome == stepUp && !stepped:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, stepUpURL(r.URL, v, now), http.StatusSeeOther)
	case v.outcome == stepUp:
		p.layout.Fail(w, r, http.StatusForbidden, layout.Problem{
			Title: "That login was not enough",
			Why:   "You logged in again, and the provider did not do what this page asks for.",
			Notes: v.lacks,
			Next:  "Whoever runs the provider can say whether this client may ask for it.",
			Links: []layout.Link{{Text: "Log in again", URL: stepUpURL(r.URL, v, now)}, {Text: "All pages", URL: pagesPath}},
		})
	default:
		p.layout.Fail(w, r, http.StatusForbidden, layout.Problem{
			Why:   "You are logged in, but this page asks for more.",
			Notes: v.lacks,
			Next:  "If you should have it, ask whoever gives out such rights, then log in again: a login keeps the claims that it began with.",
			Links: []layout.Link{
				{Text: "Log in again", URL: "/auth/login?" + url.Values{"prompt": {"login"}, "returnTo": {hereWithout(r.URL)}}.Encode()},
				{Text: "All pages", URL: pagesPath},
			},
		})
	}
	return false
}

// steppedParam marks the way back to a page after a login that the page asked for, with the Unix time of asking.
const steppedParam = "stepped"

// steppedUp reports whether r comes back from such a login, and whether that login was asked for a short while ago.
func steppedUp(r *http.Request, now time.Time) (recent, marked bool) {
	text := r.URL.Query().Get(steppedParam)
	if text == "" {
		return false, false
	}
	at, err := strconv.ParseInt(text, 10, 64)
	return err == nil && at <= now.Unix() && at >= now.Add(-stepUpWindow).Unix(), true
}

// stepUpURL returns where to log in for what v lacks, and then to come back from.
func stepUpURL(at *url.URL, v verdict, now time.Time) string {
	query := at.Query()
	query.Set(steppedParam, strconv.FormatInt(now.Unix(), 10))
	login := url.Values{"returnTo": {at.EscapedPath() + "?" + query.Encode()}}
	if v.acr != nil {
		login.Set("acr_values", strings.Join(v.acr, " "))
	}
	if v.maxAge > 0 {
		login.Set("max_age", seconds(v.maxAge))
	}
	return "/auth/login?" + login.Encode()
}

// hereWithout returns the path and query of a page without the mark of a login.
func hereWithout(at *url.URL) string {
	query := at.Query()
	query.Del(steppedParam)
	here := at.EscapedPath()
	if len(query) > 0 {
		here += "?" + query.Encode()
	}
	return here
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// errHidden: a name leads to what is not to be served, or nowhere.
var errHidden = errors.New("hidden")

// find returns where the file or folder of that name lies, once all symbolic
// links are followed, and what it is. A link that leaves the folder or leads to
// a hidden name is not followed; what is opened is the name that was checked.
func (p *pages) find(name string) (real string, info fs.FileInfo, err error) {
	rest := strings.Split(name, "/")
	links := 0
	for len(rest) > 0 {
		real = path.Join(real, rest[0])
		rest = rest[1:]
		info, err = p.root.Lstat(filepath.FromSlash(real))
		if err != nil {
			return "", nil, err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		target, err := p.root.Readlink(filepath.FromSlash(real))
		if err != nil {
			return "", nil, err
		}
		if links++; links > maxLinks || filepath.IsAbs(target) {
			return "", nil, errHidden
		}
		target = path.Join(path.Dir(real), filepath.ToSlash(target))
		if !isPlain(target) {
			return "", nil, errHidden
		}
		real, rest = "", append(strings.Split(target, "/"), rest...)
	}
	return real, info, nil
}

// pagePath returns the name within the folder that a URL path stands for, "."
// for the folder itself, or false if it is the name of nothing that is served.
func pagePath(urlPath string) (name string, ok bool) {
	name, ok = strings.CutPrefix(urlPath, pagesPath)
	if !ok {
		return "", false
	}
	if name = strings.TrimSuffix(name, "/"); name == "" {
		return ".", !strings.HasSuffix(urlPath, "//")
	}
	return name, name != "." && isPlain(name)
}

// isPlain reports whether name is a path with slashes, downward only, that means
// the same on every system and file system, and none of whose elements is hidden.
func isPlain(name string) bool {
	if name == "." {
		return true
	}
	if len(name) > 1024 || !utf8.ValidString(name) || !fs.ValidPath(name) {
		return false
	}
	for i, c := range name {
		switch {
		case unicode.IsControl(c), unicode.Is(unicode.Cf, c): // some file systems pass over format characters
			return false
		case c == '\\', c == ':': // another separator; a drive, or an alternate data stream
			return false
		case c == '~' && i+1 < len(name) && name[i+1] >= '0' && name[i+1] <= '9': // GIT~1 is .git by its short name
			return false
		}
	}
	for element := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(element, ".") || strings.HasSuffix(element, ".") || strings.HasSuffix(element, " ") || private.IsDevice(element) {
			return false
		}
	}
	return true
}

// isMarkdown goes by the extension, in whatever case the file system lets it be asked for.
func isMarkdown(name string) bool {
	ext := path.Ext(name)
	return strings.EqualFold(ext, ".md") || strings.EqualFold(ext, ".markdown")
}

// pageURL returns the URL of a name within the folder.
func pageURL(name string) string {
	if name == "." {
		return pagesPath
	}
	return pagesPath + (&url.URL{Path: name}).EscapedPath()
}

// crumbs returns the way from all pages down to the folder that name is in.
func crumbs(name string) []layout.Link {
	way := []layout.Link{{Text: "Pages", URL: pagesPath}}
	dir := path.Dir(name)
	if dir == "." {
		return way
	}
	elements := strings.Split(dir, "/")
	for i, element := range elements {
		way = append(way, layout.Link{Text: words.Line(element, 80), URL: pageURL(strings.Join(elements[:i+1], "/")) + "/"})
	}
	return way
}

// htmlTitle returns the title of an HTML document from its first bytes, or "".
func htmlTitle(head []byte) string {
	text := string(head)
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

// types are the content types by extension. The system's own table is not asked:
// on Windows any program may have changed what .js is.
var types = map[string]string{
	".avif": "image/avif", ".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".gif": "image/gif",
	".htm": "text/html; charset=utf-8", ".html": "text/html; charset=utf-8", ".ico": "image/x-icon", ".jpeg": "image/jpeg",
	".jpg": "image/jpeg", ".js": "text/javascript; charset=utf-8", ".json": "application/json", ".log": "text/plain; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".ogg": "audio/ogg", ".otf": "font/otf",
	".pdf": "application/pdf", ".png": "image/png", ".svg": "image/svg+xml", ".toml": "text/plain; charset=utf-8", ".ttf": "font/ttf",
	".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm", ".wav": "audio/wav", ".webm": "video/webm", ".webp": "image/webp",
	".woff": "font/woff", ".woff2": "font/woff2", ".xml": "application/xml", ".yaml": "text/plain; charset=utf-8", ".yml": "text/plain; charset=utf-8",
}

// contentType returns the type of a file by its name; what is not known is offered for download.
func contentType(name string) string {
	if t, ok := types[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return "application/octet-stream"
}
