package webui

import (
	"errors"
	"net/http"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
)

// enterPath recognises the browser that brings the secret of a one-time URL.
const enterPath = "/auth/enter"

// ErrLinkUsed is what Config.Advice is asked about when a one-time URL is opened that was used, or is too old.
var ErrLinkUsed = errors.New("this link has been used")

// OneTimeURL returns a URL that makes the browser which opens it first, within a minute, one that may see the user, and
// what is closed when a browser has opened it.
func (s *Server) OneTimeURL() (oneTime string, used <-chan struct{}) {
	secret, used := s.browsers.invite()
	return s.url(enterPath + "?once=" + secret), used
}

// enter recognises the browser that opens a one-time URL.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) {
	secret, own := r.URL.Query().Get("once"), r.URL.Query().Has("own")
	if own { // every user of the machine can read it
		if secret = r.URL.Query().Get("own"); !localhost.Own(r) {
			s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{
				Title: "Not surely your own browser", Why: "This link was made for a browser that runs as you, on this machine.",
				Next: "Open the link that the terminal shows.",
			})
			return
		}
	}
	if !s.browsers.redeem(secret, own) {
		s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{
			Title: "This link has been used", Why: "It opens the page once, within a minute of being made.",
			Next: s.advice(ErrLinkUsed), Links: []layout.Link{{Text: "Log in", URL: layout.LoginPath}},
		})
		return
	}
	s.browsers.recognise(w, r, anySubject, true)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
