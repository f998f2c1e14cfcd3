package tenant

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"

	"github.com/loopkey/loopkey/internal/template"
)

//go:embed pages.html
var pagesHTML string

//go:embed pages.css
var pagesCSS string

type loginPage struct {
	Action, CSRF, Client, Email string
	Scopes                      []string
	StepUp, Wrong, OneClick     bool
	Users                       []User
}

type devicePage struct {
	CSRF, UserCode string
	Wrong          bool
	Users          []User
}

type logoutPage struct{ Action, CSRF, ClientID, Back, State string }

// pages are the tenant's own pages: HTML without scripts, and one style sheet, whose hash the policy allows.
type pages struct {
	templates *template.Template
	policy    string
}

func newPages() (*pages, error) {
	templates, err := template.Parse([]string{"login", "device", "logout", "message"}, map[string]template.Func{
		"css": func(string) (any, error) { return template.CSS(pagesCSS), nil },
	}, template.Source{Name: "pages.html", Text: pagesHTML})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(pagesCSS))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; frame-ancestors 'none'; base-uri 'none'"
	return &pages{templates: templates, policy: policy}, nil
}

func (p *pages) show(w http.ResponseWriter, status int, name string, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	page, err := p.templates.Append(nil, name, data)
	if err != nil {
		http.Error(w, "This page could not be drawn.", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(page)
}

func (p *pages) login(w http.ResponseWriter, data loginPage) { p.show(w, http.StatusOK, "login", data) }

func (p *pages) device(w http.ResponseWriter, status int, data devicePage) {
	p.show(w, status, "device", data)
}

func (p *pages) askLogout(w http.ResponseWriter, data logoutPage) {
	p.show(w, http.StatusOK, "logout", data)
}

func (p *pages) done(w http.ResponseWriter, title, text string) {
	p.show(w, http.StatusOK, "message", map[string]string{"Title": title, "Text": text})
}

func (p *pages) problem(w http.ResponseWriter, status int, text string) {
	p.show(w, status, "message", map[string]string{"Title": "Something went wrong", "Text": text})
}
