package login

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/localhost"
)

// ShortPath is under which Flow.Short is served.
const ShortPath = "/go/"

// shortName returns a name that nobody guesses while a login waits (40 bits), and that can be typed.
func shortName() string { return rand.Text()[:8] }

// Short leads this user's browser from Pending.Short to the provider, as long as the login waits.
func (f *Flow) Short(w http.ResponseWriter, r *http.Request) { f.short(w, r) }

// Short returns a URL of the local server that leads to URL: it fits on a line of a terminal, and some launchers of
// browsers cut long ones.
func (p *Pending) Short() string {
	u, err := url.Parse(p.flow.cfg.RedirectURI)
	if err != nil {
		return p.URL
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: ShortPath + p.login.short}).String()
}

// ShortOf returns the short URL of the login that waits with this URL, or "".
func (f *Flow) ShortOf(authorizationURL string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.waiting {
		if l.url == authorizationURL {
			return l.part(f, false).Short()
		}
	}
	return ""
}

// Leads reports whether Short leads r to the provider.
func (f *Flow) Leads(r *http.Request) bool { return f.shortFor(r) != "" }

// shortFor returns the URL that r is led to, or "".
func (f *Flow) shortFor(r *http.Request) string {
	name := []byte(strings.TrimPrefix(r.URL.Path, ShortPath))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.waiting {
		if subtle.ConstantTimeCompare([]byte(l.short), name) == 1 {
			return l.url
		}
	}
	return ""
}

func (f *Flow) lead(w http.ResponseWriter, r *http.Request) {
	if target := f.shortFor(r); target != "" {
		http.Redirect(w, r, target, http.StatusSeeOther)
		return
	}
	f.noShort(w, r)
}

func (f *Flow) noShort(w http.ResponseWriter, _ *http.Request) {
	f.page(localhost.Page{
		Status: http.StatusNotFound, Title: "Nothing here", Text: "No login is waiting for this.",
		Links: []localhost.Link{f.home()},
	}).Write(w)
}
