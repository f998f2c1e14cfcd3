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
	Notice         string // what has just happened; "": nothing that one has to be told
	Sessions       []sessionCard
	More           int // sessions that are not shown
	Events         []eventView
	Checks         bool // the user may have checks made
	Commands       []Commands
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
	v := s.watch.view(r.Context())
	known := s.recognised(r, v)
	if v.err != nil && known {
		s.cannotTell(w, r, v.err)
		return
	}
	known = known && v.loggedIn
	back := state != "" && r.Method == http.MethodGet && localhost.IsNavigation(r) && s.logouts.returned(state, shown)
	if !known {
		s.layout.Render(w, r, http.StatusOK, &homeTemplate, layout.Page{Section: "home", Script: "live.js", Data: homeData{
			Back: back, NoState: !shown, Hint: spans(s.advice(ErrUnknownBrowser)),
		}})
		return
	}
	now := s.cfg.Now()
	others := s.othersFor(r)
	left, checks := append(secondsLeft(v.info, now), others.left(now)...), s.cfg.Checks != nil && s.browsers.isWhole(r)
	if checks {
		left = append(left, -1)
	}
	draw := func(notice string) ([]byte, error) {
		claims, name := v.info.Claims, words.Name(v.info.Claims)
		return s.layout.Draw(r, &homeTemplate, layout.Page{Section: "home", Script: "live.js", Visitor: name, Data: homeData{
			Known: true, Hint: spans(s.cfg.Hint), Pages: s.pages != nil,
			Name: name, Initials: words.Initials(name),
			Email: words.Line(claims.Text("email"), mostEmail), Issuer: s.provider.Issuer(),
			Picture: claims.Text("picture") != "", Notice: notice, Commands: s.cfg.Commands,
			Sessions: append([]sessionCard{s.ownCard(v.info, now)}, others.cards(now)...), More: others.more,
			Events: eventViews(others.events), Checks: checks,
		}})
	}
	if back { // of another session's logout
		page, err := draw("You are logged out of the other session, here and at its provider.")
		send(w, r, page, err)
		return
	}
	page, err := s.homePage.of(v, left, func() ([]byte, error) {
		return draw("")
	})
	send(w, r, page, err)
}

// send sends a page, or says that it could not be drawn.
func send(w http.ResponseWriter, r *http.Request, page []byte, err error) {
	if err != nil {
		layout.Undrawn(w)
		return
	}
	layout.Send(w, r, http.StatusOK, page)
}

// An eventView is an Event as a page shows it.
type eventView struct {
	At   moment
	Text string
}

func eventViews(events []Event) []eventView {
	views := make([]eventView, 0, len(events))
	for _, e := range events {
		views = append(views, eventView{momentOf(e.Time), words.Line(e.Text, 300)})
	}
	return views
}
