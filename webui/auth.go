package webui

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// passedOn are the parameters that a login may carry to the provider, and no others.
func passedOn() []string {
	return []string{"organization", "connection", "login_hint", "screen_hint", "prompt", "acr_values", "max_age", "ui_locales", "invitation"}
}

// anothers is what another user of this machine is told.
var anothers = layout.Problem{Title: "Not for this user", Why: "This server is of another user of this machine."}

// login starts a login for the browser that asks, and for no other.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	// A page of another site may link here, but not have it fetched or framed.
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{Title: "Not from inside another page", Why: "A login is begun by opening it."})
		return
	}
	query := r.URL.Query()
	params := url.Values{}
	for _, name := range passedOn() {
		if value := query.Get(name); value != "" {
			params.Set(name, value)
		}
	}
	returnTo, ok := login.ReturnTo(query.Get("returnTo"))
	if !ok {
		returnTo = "/"
	}
	// A neighbour's login must not be finished as the person's in their browser, which any page can send to a callback:
	// who begins is known already, and came here by themselves.
	_, known := s.browsers.knows(r)
	byThemselves := slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site"))
	pending, err := s.flow.Begin(r.Context(), login.Request{
		Params: params, ReturnTo: returnTo, Browser: s.browsers.beginLogin(w, r),
		Guest: !known || !byThemselves,
	})
	if err != nil {
		s.failed(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, pending.URL, http.StatusSeeOther)
}

// somebodyElse is what a guest is told.
type somebodyElse struct{}

func (somebodyElse) Error() string {
	return "somebody else is logged in here, and this browser has not shown that it is theirs"
}

func (somebodyElse) Unwrap() error { return login.ErrForbidden }

// store keeps a login. Anybody on this machine can make one here, and so can a page that sends a browser
// to /auth/login: neither may push the person's session aside with one of their own.
func (s *Server) store(ctx context.Context, r *http.Request, p *login.Pending, t *provider.Tokens) error {
	may := func(string) bool { return true } // the person at the terminal asked for it
	if !p.CLI {
		subject, known := s.browsers.knows(r)
		may = func(other string) bool { return known && !p.Guest && (subject == anybody || subject == other) }
	}
	err := s.cfg.Store(ctx, t, may)
	if errors.Is(err, session.ErrSomebodyElse) {
		return somebodyElse{}
	}
	return err
}

// loggedIn is what the callback does when a login is verified and stored: the
// browser that finished it is recognised and goes back to where it wanted to be.
func (s *Server) loggedIn(w http.ResponseWriter, r *http.Request, p *login.Pending, t *provider.Tokens) bool {
	s.watch.refresh(context.WithoutCancel(r.Context()), true) // first, for it forgets the browsers of the session before
	s.browsers.recognise(w, r, t.Claims.Subject())
	if p.CLI { // the terminal's login: its page says that it worked
		return false
	}
	http.Redirect(w, r, p.ReturnTo, http.StatusSeeOther)
	return true
}

// enter recognises the browser that comes through a one-time URL.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) {
	// It comes from a file of the person's, so from no site at all; but never from inside a page.
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{Title: "Not from another page", Why: "This link is opened by loopkey."})
		return
	}
	if r.Header.Get("Sec-Purpose") != "" { // looked at ahead, for somebody who may never come
		s.layout.Fail(w, r, http.StatusServiceUnavailable, layout.Problem{})
		return
	}
	if !s.browsers.redeem(r.URL.Query().Get("once")) {
		s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{
			Title: "This link has been used", Why: "It opens the page once, within a minute of being made.",
			Next:  "Run loopkey serve again in a terminal for a new one, or log in here.",
			Links: []layout.Link{{Text: "Log in", URL: layout.LoginPath}},
		})
		return
	}
	s.browsers.recognise(w, r, anybody)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// askLogout asks first, for any page can make a browser GET; our own pages need not be asked.
func (s *Server) askLogout(w http.ResponseWriter, r *http.Request) {
	// A picture in one of the pages would be of our origin too: only a link of ours need not be asked.
	h := r.Header
	if _, ok := s.visitor(r); ok && h.Get("Sec-Fetch-Site") == "same-origin" && h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document" {
		s.logout(w, r)
		return
	}
	s.layout.Render(w, r, http.StatusOK, &logoutTemplate, layout.Page{Title: "Log out"})
}

// logout ends the session here and at the provider. The browser is sent on by a
// page of ours: Chromium applies form-action to the redirect of a form too, and
// where the provider redirects from there nobody knows.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.visitor(r); !ok { // a stranger ends nothing
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	state := rand.Text()
	ended, err := s.cfg.Session.End(context.WithoutCancel(r.Context()), session.EndOptions{
		PostLogoutRedirectURI: s.cfg.BaseURL, State: state,
	})
	s.watch.refresh(context.WithoutCancel(r.Context()), true)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	http.Redirect(w, r, endedURL(s.logouts.add(state, leaving{Ended: ended})), http.StatusSeeOther)
}

// ended sends the browser on to the provider's logout, or says how it went. Only a browser that is surely the person's
// takes an ID token there; without one the provider may ask first.
func (s *Server) ended(w http.ResponseWriter, r *http.Request) {
	l, ok := s.logouts.take(r.URL.Query().Get("id"))
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if !localhost.Own(r) {
		l.EndSessionURL = l.EndSessionPlainURL
	}
	if l.terminal != nil { // it says how it went
		close(l.terminal.sent)
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, l.EndSessionURL, http.StatusSeeOther)
		return
	}
	if l.EndSessionURL != "" {
		w.Header().Set("Refresh", "0; url="+l.EndSessionURL)
	}
	s.layout.Render(w, r, http.StatusOK, &endedTemplate, layout.Page{Title: "Logged out", Data: l.Ended})
}

// logouts keeps how a logout went until its page is shown, and its state until the provider sends the browser back.
type logouts struct {
	now func() time.Time

	mu     sync.Mutex
	byID   map[string]leaving
	states map[string]returning
}

// A leaving is a browser that is on its way to the provider's logout.
type leaving struct {
	session.Ended
	terminal *terminal // that logged out; nil: one of our pages
}

// A returning is a browser that is expected back from there.
type returning struct {
	until    time.Time
	terminal *terminal
}

// A terminal waits for the browser that it sent.
type terminal struct{ sent, back chan struct{} } // each is closed once

func newLogouts(now func() time.Time) *logouts {
	return &logouts{now: now, byID: map[string]leaving{}, states: map[string]returning{}}
}

func (l *logouts) add(state string, leaves leaving) (id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byID) >= mostKept {
		clear(l.byID)
	}
	if len(l.states) >= mostKept {
		clear(l.states)
	}
	id = rand.Text()
	l.byID[id] = leaves
	l.states[state] = returning{l.now().Add(10 * time.Minute), leaves.terminal}
	return id
}

func (l *logouts) take(id string) (leaving, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	leaves, ok := l.byID[id]
	delete(l.byID, id)
	return leaves, ok
}

// waits reports whether state is of a logout that went to the provider, which returned then ends.
func (l *logouts) waits(state string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.states[state]
	return ok
}

// returned reports whether state is of a logout that went to the provider a short while ago.
func (l *logouts) returned(state string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.states[state]
	delete(l.states, state)
	if !ok || !l.now().Before(r.until) {
		return false
	}
	if r.terminal != nil {
		close(r.terminal.back)
	}
	return true
}

// advice returns what the person can do about an error as a sentence, or "".
func (s *Server) advice(err error) string {
	text := words.Sentence(s.cfg.Advice(err))
	if text == "" || strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// failed says on a page what the terminal would say.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, provider.ErrUnreachable), errors.Is(err, provider.ErrUntrusted):
		status = http.StatusBadGateway
	case errors.Is(err, session.ErrKeystore):
		status = http.StatusServiceUnavailable
	}
	s.layout.Fail(w, r, status, layout.Problem{
		Title: "That did not work", Why: words.Sentence(words.Printable(err.Error())) + ".", Next: s.advice(err),
	})
}
