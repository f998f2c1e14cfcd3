package layout

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/loopkey/loopkey/internal/localhost"
)

// A Problem is what an error page says: what failed, why, and what to do next. Zero fields are filled in from the
// status.
type Problem struct {
	Title string
	Why   string
	Next  string
	Links []Link
	Notes []string // one line each, such as what a page asks for
}

// LoginPath is where a login begins: ?returnTo= leads back.
const LoginPath = "/auth/login"

// A Link is a way on.
type Link = localhost.Link

// usual returns the words for a status whose pages have some in common. Any other page brings words of its own.
func usual(status int) Problem {
	switch status {
	case http.StatusUnauthorized:
		return Problem{
			Title: "Log in first",
			Why:   "This is shown to the person who is logged in, in a browser that was recognised.",
			Links: []Link{{Text: "Log in", URL: LoginPath}},
		}
	case http.StatusForbidden:
		return Problem{Title: "Not for this login"}
	case http.StatusNotFound:
		return Problem{
			Title: "Nothing here",
			Why:   "No page has this address.",
			Next:  "It may have been moved or renamed.",
		}
	case http.StatusMethodNotAllowed:
		return Problem{
			Title: "Not that way",
			Why:   "This address does not take that kind of request.",
		}
	case http.StatusInternalServerError:
		return Problem{Title: "Something broke"}
	}
	return Problem{Title: cmp.Or(http.StatusText(status), "Something went wrong")}
}

// withDefaults returns p with the words that the status has for what p leaves open.
func (p Problem) withDefaults(status int) Problem {
	usual := usual(status)
	p.Title = cmp.Or(p.Title, usual.Title)
	if p.Why == "" {
		p.Why, p.Next = usual.Why, cmp.Or(p.Next, usual.Next)
	}
	if p.Links == nil {
		p.Links = usual.Links
	}
	return p
}

var errorTemplate = Template{Files: &templateFiles, File: "templates/error.html"}

// Fail sends an error: a page to a browser that navigates, JSON to any other client.
func (l *Layout) Fail(w http.ResponseWriter, r *http.Request, status int, p Problem) {
	p = p.withDefaults(status)
	if !WantsPage(r) {
		FailJSON(w, status, p)
		return
	}
	l.Render(w, r, status, &errorTemplate, Page{Title: p.Title, Data: struct {
		Problem
		Status int
	}{p, status}})
}

// FailJSON sends an error to a client that is no browser, or that does not ask for a page.
func FailJSON(w http.ResponseWriter, status int, p Problem) {
	p = p.withDefaults(status)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	localhost.Secure(h)
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

// WantsPage reports whether r is a browser's that navigates, in contrast to an API client's.
func WantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	for _, accept := range strings.Split(r.Header.Get("Accept"), ",") {
		kind, _, _ := strings.Cut(strings.TrimSpace(accept), ";")
		if kind == "text/html" || kind == "application/xhtml+xml" {
			return true
		}
	}
	return false
}
