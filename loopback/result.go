package loopback

import (
	"errors"
	"net/http"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A result is kept until its page was fetched.
type result struct {
	login *login
	name  string
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

// Result shows how a login went: GET /auth/done.
func (f *Flow) Result(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	res, ok := f.results[r.URL.Query().Get("id")]
	f.mu.Unlock()
	if !ok {
		localhost.Page{App: appName, Status: http.StatusNotFound, Title: "Nothing here", Text: "This page was for another moment.", Home: true}.Write(w)
		return
	}
	if res.err == nil {
		localhost.Page{App: appName, Status: http.StatusOK, Good: true, Title: "You are logged in",
			Text: "You are logged in as " + res.name + ".", Next: "You can close this tab and go back to your terminal."}.Write(w)
	} else {
		f.failurePage(res.err).Write(w)
	}
	res.login.seen()
}

// strangerPage answers what belongs to no login, or to one of another browser.
func strangerPage(err error) localhost.Page {
	p := localhost.Page{App: appName, Status: http.StatusBadRequest, Title: "Not a login that waits here",
		Text: words.Sentence(err.Error()) + ". It may have been used already, or be too old. Nothing was changed.", Home: true}
	if errors.Is(err, errBrowser) {
		p.Title, p.Text = "Not in this browser", words.Sentence(err.Error())+". Finish it there, or begin one here."
	}
	return p
}

// failurePage says on the page what the terminal says: what failed, why, what to do.
func (f *Flow) failurePage(err error) localhost.Page {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, provider.ErrUntrusted), errors.Is(err, provider.ErrUnreachable):
		status = http.StatusBadGateway
	case errors.Is(err, provider.ErrRefused), errors.Is(err, ErrForbidden):
		status = http.StatusForbidden
	}
	return localhost.Page{App: appName, Status: status, Title: "The login did not work", Text: words.Sentence(words.Printable(err.Error())) + ".", Next: words.Sentence(f.cfg.Advice(err))}
}
