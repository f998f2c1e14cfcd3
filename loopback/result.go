package loopback

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"sync"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// A page says one thing. It holds no script, and its style is named by its hash.
type page struct {
	Status            int
	Title, Text, Next string
	Good, Home        bool
	CSS               template.CSS
}

var pageTemplate = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageHTML)) })

var pagePolicy = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
})

func (p page) write(w http.ResponseWriter) {
	p.CSS = template.CSS(pageCSS) //nolint:gosec // embedded
	var buffer bytes.Buffer
	if err := pageTemplate().Execute(&buffer, p); err != nil {
		http.Error(w, p.Title, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy())
	h.Set("Content-Length", strconv.Itoa(buffer.Len()))
	w.WriteHeader(p.Status)
	_, _ = w.Write(buffer.Bytes())
}

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
	securePage(w)
	f.mu.Lock()
	res, ok := f.results[r.URL.Query().Get("id")]
	f.mu.Unlock()
	if !ok {
		page{Status: http.StatusNotFound, Title: "Nothing here", Text: "This page was for another moment.", Home: true}.write(w)
		return
	}
	if res.err == nil {
		page{Status: http.StatusOK, Good: true, Title: "You are logged in",
			Text: "You are logged in as " + res.name + ".", Next: "You can close this tab and go back to your terminal."}.write(w)
	} else {
		f.failurePage(res.err).write(w)
	}
	res.login.seen()
}

// strangerPage answers what belongs to no login, or to one of another browser.
func strangerPage(err error) page {
	p := page{Status: http.StatusBadRequest, Title: "Not a login that waits here",
		Text: words.Sentence(err.Error()) + ". It may have been used already, or be too old. Nothing was changed.", Home: true}
	if errors.Is(err, errBrowser) {
		p.Title, p.Text = "Not in this browser", words.Sentence(err.Error())+". Finish it there, or begin one here."
	}
	return p
}

// failurePage says on the page what the terminal says: what failed, why, what to do.
func (f *Flow) failurePage(err error) page {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, provider.ErrUntrusted), errors.Is(err, provider.ErrUnreachable):
		status = http.StatusBadGateway
	case errors.Is(err, provider.ErrRefused), errors.Is(err, ErrForbidden):
		status = http.StatusForbidden
	}
	return page{Status: status, Title: "The login did not work", Text: words.Sentence(words.Printable(err.Error())) + ".", Next: words.Sentence(f.cfg.Advice(err))}
}
