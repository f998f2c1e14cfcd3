package localhost

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strconv"
	"sync"

	"github.com/loopkey/loopkey/internal/template"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// A Page says one thing to the person: that a request was refused, or how something went. It holds no script, and its
// style is named by its hash.
type Page struct {
	Status            int
	App               string // the program, after the title of the tab; "" leaves it out
	Title, Text, Next string // Text says what happened, Next what to do about it
	Who, Where        string // whom it is about, as far as that is known, and at which provider; "": it is left out
	Good              bool   // in the color of a success
	Links             []Link // ways on, the first one in front
}

// A Link is a way on from a page.
type Link struct{ Text, URL string }

var pageTemplate = sync.OnceValues(func() (*template.Template, error) {
	return template.Parse([]string{"page"}, nil, template.Source{Name: "page", Text: pageHTML})
})

var pagePolicy = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return strict + "; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
})

// ServeHTTP answers every request with the page.
func (p Page) ServeHTTP(w http.ResponseWriter, _ *http.Request) { p.Write(w) }

// Write sends the page as the whole response.
func (p Page) Write(w http.ResponseWriter) {
	if p.Next == "" && p.Links == nil {
		p.Next = "You can close this tab."
	}
	var page []byte
	t, err := pageTemplate()
	if err == nil {
		page, err = t.Append(nil, "page", struct {
			Page
			CSS template.CSS
		}{p, template.CSS(pageCSS)})
	}
	if err != nil {
		http.Error(w, p.Title, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set(policyHeader, pagePolicy())
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(page)
}
