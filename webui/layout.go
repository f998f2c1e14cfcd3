package webui

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates holds a template for each page, by its file's name without the
// extension. It is parsed when the first page is asked for: commands that serve
// none must not pay for it.
var templates = sync.OnceValues(func() (map[string]*template.Template, error) {
	funcs := template.FuncMap{"asset": assetURL}
	layout, err := template.New("layout.html").Funcs(funcs).ParseFS(templateFiles, "templates/layout.html")
	if err != nil {
		return nil, err
	}
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	byName := map[string]*template.Template{}
	for _, file := range files {
		if file.Name() == "layout.html" {
			continue
		}
		t, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if t, err = t.ParseFS(templateFiles, "templates/"+file.Name()); err != nil {
			return nil, err
		}
		byName[strings.TrimSuffix(file.Name(), ".html")] = t
	}
	return byName, nil
})

// A layout draws the pages of one server: the same header, footer and policy
// around each. The zero layout draws them for nobody in particular.
type layout struct {
	tenant     string   // the issuer's host, for the footer
	hasPages   bool     // the header links to the protected pages
	formAction []string // origins beside our own that a form may lead to (the issuer's, at logout)
	// visitor tells whom the header names; nil: nobody.
	visitor func(*http.Request) (provider.Claims, bool)
}

// A page is what one page adds to the layout.
type page struct {
	Title   string   // for the tab; "loopkey" follows it
	Section string   // the link of the header that this page is under: home, profile, pages
	Script  string   // a script of assets, or ""
	Data    any      // what the page's own template draws
	Policy  []string // further directives for the Content-Security-Policy
}

// A person is the visitor as the header shows them.
type person struct{ Name, Initials string }

// render draws the page that templates/NAME.html describes. The answer is whole or it is an error: it is
// drawn before the first byte is sent.
func (l *layout) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	var out bytes.Buffer
	err := l.draw(&out, r, name, p)
	h := w.Header()
	l.protect(h, p.Policy...)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store") // it names a person: after a logout, "back" must not show it
	}
	if err != nil { // a template that can't be drawn is our mistake, and no page of ours can say so
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprintln(w, "loopkey could not draw this page.")
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Vary", "Cookie")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out.Bytes())
	}
}

func (l *layout) draw(out *bytes.Buffer, r *http.Request, name string, p page) error {
	all, err := templates()
	if err != nil {
		return err
	}
	t, ok := all[name]
	if !ok {
		return fmt.Errorf("no template %q", name)
	}
	view := struct {
		page
		Visitor  *person
		Tenant   string
		HasPages bool
	}{page: p, Tenant: l.tenant, HasPages: l.hasPages}
	if l.visitor != nil {
		if claims, ok := l.visitor(r); ok {
			display := words.Name(claims)
			view.Visitor = &person{Name: display, Initials: words.Initials(display)}
		}
	}
	return t.ExecuteTemplate(out, "layout.html", view)
}

// protect sets the policy of our own pages: what they load is ours, no markup
// runs as a script or a style, and nobody frames them.
func (l *layout) protect(h http.Header, more ...string) {
	policy := []string{
		"default-src 'none'",
		"style-src 'self'",
		"script-src 'self'",
		"img-src 'self' data:", // small pictures inside a Markdown file; goldmark lets raster types alone through
		"connect-src 'self'",
		strings.Join(append([]string{"form-action 'self'"}, l.formAction...), " "),
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}
	h.Set("Content-Security-Policy", strings.Join(append(policy, more...), "; "))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin") // another port of localhost is the same site, and gets our cookie
}

// A problem is what an error page says: what failed, why, and what to do next.
// Its zero fields are filled in from the status.
type problem struct {
	Title string
	Why   string
	Next  string
	Links []link
	Notes []string // one line each, such as what a page asks for
}

// A link is a way on.
type link struct{ Text, URL string }

// problems are the words for the statuses that need none more particular.
var problems = map[int]problem{
	http.StatusBadRequest:         {Title: "That request makes no sense here", Why: "It lacks something, or carries something that it should not."},
	http.StatusUnauthorized:       {Title: "Log in first", Why: "This is shown to the person who is logged in, in a browser that loopkey has recognised.", Links: []link{{"Log in", "/auth/login"}}},
	http.StatusForbidden:          {Title: "Not for this login", Why: "You are logged in, but that is not enough for this page."},
	http.StatusNotFound:           {Title: "Nothing here", Why: "No page has this address.", Next: "It may have been moved or renamed."},
	http.StatusMethodNotAllowed:   {Title: "Not that way", Why: "This address does not take that kind of request."},
	http.StatusMisdirectedRequest: {Title: "Wrong address", Why: "loopkey answers to localhost, 127.0.0.1 and [::1] with its own port, and to no other name.", Next: "Open it by the URL that loopkey printed."},
	http.StatusInternalServerError: {Title: "Something broke", Why: "loopkey could not make this page.",
		Next: "If it happens again, end loopkey serve and start it anew."},
	http.StatusBadGateway:         {Title: "The app does not answer", Why: "Nothing answers where the app behind loopkey should be."},
	http.StatusServiceUnavailable: {Title: "Not just now", Why: "loopkey can't answer this at the moment.", Next: "Try again shortly."},
}

// anothers is what another user of this machine is told.
var anothers = problem{Title: "Not for this user", Why: "This server is of another user of this machine."}

// withDefaults returns p with the words that the status has for what p leaves open.
func (p problem) withDefaults(status int) problem {
	usual, ok := problems[status]
	if !ok {
		usual = problem{Title: cmp.Or(http.StatusText(status), "Something went wrong")}
	}
	p.Title = cmp.Or(p.Title, usual.Title)
	if p.Why == "" {
		p.Why, p.Next = usual.Why, cmp.Or(p.Next, usual.Next)
	}
	if p.Links == nil {
		p.Links = usual.Links
	}
	return p
}

// fail answers with an error: a page to a browser that navigates, JSON to anything else.
func (l *layout) fail(w http.ResponseWriter, r *http.Request, status int, p problem) {
	p = p.withDefaults(status)
	if !wantsPage(r) {
		failJSON(w, status, p)
		return
	}
	l.render(w, r, status, "error", page{Title: p.Title, Data: struct {
		problem
		Status int
	}{p, status}})
}

// failJSON is the error for what is no browser, or does not ask for a page.
func failJSON(w http.ResponseWriter, status int, p problem) {
	p = p.withDefaults(status)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error   string   `json:"error"`
		Message string   `json:"message"`
		Next    string   `json:"next,omitempty"`
		Notes   []string `json:"notes,omitempty"`
	}{
		strings.ReplaceAll(strings.ToLower(cmp.Or(http.StatusText(status), "error")), " ", "_"),
		strings.TrimRight(p.Title, ".") + ". " + p.Why, p.Next, p.Notes,
	})
}
