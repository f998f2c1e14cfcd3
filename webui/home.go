package webui

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/words"
)

// ErrUnknownBrowser is what Config.Advice is asked about when a browser that was not recognised opens the start page.
var ErrUnknownBrowser = errors.New("this browser was not recognised")

// homeData is what the start page shows.
type homeData struct {
	Known, Back    bool // whether the browser may see the user; whether it comes back from the provider's logout
	NoState        bool // it comes back without the state of that logout
	Name, Initials string
	Email, Issuer  string
	Picture, Pages bool
	Hint           []span
}

// A span is a part of a hint.
type span struct {
	Text string
	Code bool
}

// spans returns the parts of a text, of which those in backquotes are code.
func spans(text string) []span {
	var all []span
	for i, part := range strings.Split(text, "`") {
		if part != "" {
			all = append(all, span{part, i%2 == 1})
		}
	}
	return all
}

// ownHome is the path of the start page where an app has /.
const ownHome = "/auth/"

// beforeApp is / where an app has it. A browser that was not recognised gets the start page, which says how to log in:
// the provider's logout leads back to here, with its state or without.
func (s *Server) beforeApp(app http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		state, shown := s.returning(r)
		switch {
		case shown && s.logouts.waits(state):
			http.Redirect(w, r, ownHome+"?"+url.Values{"state": {state}}.Encode(), http.StatusSeeOther)
		case !shown && state != "" && localhost.IsNavigation(r):
			http.Redirect(w, r, ownHome, http.StatusSeeOther)
		case layout.WantsPage(r) && !s.recognised(r, s.watch.view(r.Context())):
			http.Redirect(w, r, ownHome, http.StatusSeeOther)
		default:
			app.ServeHTTP(w, r)
		}
	}
}

// home shows who is logged in, or one way to log in.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	state, shown := s.returning(r)
	if v := s.watch.view(r.Context()); v.err != nil && s.recognised(r, v) {
		s.cannotTell(w, r, v.err)
		return
	}
	info, known := s.visit(r)
	back := state != "" && r.Method == http.MethodGet && localhost.IsNavigation(r) && s.logouts.returned(state, shown)
	data := homeData{Known: known, Back: back && !known, NoState: !shown, Hint: spans(s.advice(ErrUnknownBrowser))}
	if known {
		data.Hint, data.Pages = spans(s.cfg.Hint), s.pages != nil
		data.Name = words.Name(info.Claims)
		data.Initials = words.Initials(data.Name)
		data.Email, data.Issuer = words.Line(info.Claims.Text("email"), mostEmail), s.provider.Issuer()
		data.Picture = info.Claims.Text("picture") != ""
	}
	s.layout.Render(w, r, http.StatusOK, &homeTemplate, layout.Page{Section: "home", Script: "live.js", Data: data})
}
