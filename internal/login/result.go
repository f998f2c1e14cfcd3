package login

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A result is how a login went. It is kept for its page until newer results push it out.
type result struct {
	login *login
	name  string // of the user; "": there is no ID token to say it
	who   string // name, with the email address where there is one
	err   error
}

func (f *Flow) keepResult(r result) (id string) {
	id = random()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.resulted) >= mostResults {
		delete(f.results, f.resulted[0])
		f.resulted = f.resulted[1:]
	}
	f.results[id] = r
	f.resulted = append(f.resulted, id)
	return id
}

// Result shows how a login went: GET ResultPath, with the id that the callback redirected to.
func (f *Flow) Result(w http.ResponseWriter, r *http.Request) { f.result(w, r) }

func (f *Flow) showResult(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	res, ok := f.results[r.URL.Query().Get("id")]
	f.mu.Unlock()
	if !ok {
		f.page(localhost.Page{
			Status: http.StatusNotFound, Title: "Nothing here", Text: "This page is no longer available.",
			Links: []localhost.Link{f.home()},
		}).Write(w)
		return
	}
	if res.err != nil {
		f.failure(res.login, res.err).Write(w)
	} else {
		text := "You are logged in."
		if res.name != "" {
			text = "You are logged in as " + res.name + "."
		}
		f.page(localhost.Page{
			Status: http.StatusOK, Good: true, Title: "You are logged in", Text: text, Who: res.who,
			Next: "You can close this tab and go back to your terminal.",
		}).Write(w)
	}
	res.login.shown()
}

// home is the way to the start page.
func (f *Flow) home() localhost.Link {
	return localhost.Link{Text: "To the start page", URL: f.cfg.Home}
}

func (f *Flow) page(p localhost.Page) localhost.Page {
	p.App, p.Where = f.cfg.App, f.cfg.Provider.Issuer()
	if u, err := url.Parse(p.Where); err == nil {
		p.Where = u.Host
	}
	return p
}

// refusal is the page for a response that belongs to no login that waits, or to one of another browser.
func (f *Flow) refusal(err error) localhost.Page {
	why := words.Sentence(err.Error())
	if errors.Is(err, errBrowser) {
		return f.page(localhost.Page{
			Status: http.StatusBadRequest, Title: "Not in this browser",
			Text: why + ". Finish it there, or begin one here.", Links: []localhost.Link{f.home()},
		})
	}
	return f.page(localhost.Page{
		Status: http.StatusBadRequest, Title: "No login is waiting for this",
		Text:  why + ". It may have been used already, or be too old. Nothing was changed.",
		Links: []localhost.Link{f.home()},
	})
}

// failure is the page for a login that failed. It says what the terminal says: what failed, why, and what to do.
// The page of a browser's own login leads on: to another try, unless that can't help, and to the start page.
func (f *Flow) failure(l *login, err error) localhost.Page {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, provider.ErrUntrusted), errors.Is(err, provider.ErrUnreachable):
		status = http.StatusBadGateway
	case errors.Is(err, provider.ErrRefused), errors.Is(err, ErrForbidden):
		status = http.StatusForbidden
	}
	var links []localhost.Link
	if l.again != "" && !errors.Is(err, ErrForbidden) {
		links = append(links, localhost.Link{Text: "Try again", URL: l.again})
	}
	if !l.cli {
		links = append(links, f.home())
	}
	return f.page(localhost.Page{
		Status: status, Title: "The login did not work", Links: links,
		Text: words.Whole(words.Printable(err.Error())), Next: words.Whole(f.cfg.Advice(err)),
	})
}
