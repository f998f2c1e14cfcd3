package webui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/session"
)

// returnLife is how long a browser may take at the provider's logout.
const returnLife = 10 * time.Minute

// askLogout asks first, because any page can make a browser send a GET. A link on one of our own pages is not asked
// about; a picture there is of our origin too, so the request has to be a navigation.
func (s *Server) askLogout(w http.ResponseWriter, r *http.Request) {
	_, known := s.visit(r)
	if !known { // whom the form would not log out
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	}
	byLink := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "same-origin" && isNavigation(r)
	if byLink {
		s.logout(w, r)
		return
	}
	s.layout.Render(w, r, http.StatusOK, &logoutTemplate, layout.Page{Title: "Log out"})
}

// logout ends the session here and at the provider. A page of ours sends the browser on to the provider: Chromium
// applies form-action to the redirects of a form too, and nobody knows where the provider redirects to.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.visit(r); !ok { // a stranger ends nothing
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	}
	if r.Method == http.MethodPost && r.PostFormValue("session") != "" {
		s.act(s.logoutOf).ServeHTTP(w, r)
		return
	}
	s.end(w, r, chosen{session: s.cfg.Session, baseURL: s.cfg.BaseURL}, session.EndOptions{})
}

// logoutOf ends the session that a form of the start page is about, if that is still the login that its page showed.
func (s *Server) logoutOf(w http.ResponseWriter, r *http.Request, v view) {
	c, ok := s.chosen(w, r, v)
	if !ok {
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	}
	s.end(w, r, c, session.EndOptions{
		Local: r.PostFormValue("here") != "",
		Only:  func(info session.Info) bool { return info.LoggedInAt.Equal(c.info.LoggedInAt) },
	})
}

// end ends a session, and leads the browser on to its provider's logout.
func (s *Server) end(w http.ResponseWriter, r *http.Request, c chosen, o session.EndOptions) {
	if c.baseURL == s.cfg.BaseURL { // else nobody may be there when the browser comes back
		o.PostLogoutRedirectURI, o.State = c.baseURL, rand.Text()
	}
	ctx := context.WithoutCancel(r.Context()) // a closed tab does not stop a logout half-way
	ended, err := c.session.End(ctx, o)
	s.forgetOthers()
	s.watch.refresh(ctx, true)
	switch {
	case err != nil:
		s.failed(w, r, err)
		return
	case o.Only != nil && !ended.WasLoggedIn: // it was ended, or is another login by now
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	case o.Local:
		o.State = ""
	}
	d := departure{Ended: ended, of: c.title, local: o.Local}
	http.Redirect(w, r, endedPath(s.logouts.add(o.State, d)), http.StatusSeeOther)
}

// endedPath returns the path that leads a browser to the provider's logout, once.
func endedPath(id string) string { return handoff.LogoutPath + "?id=" + id }

// ended sends the browser on to the provider's logout, or says how the logout went. An ID token goes with a browser
// that surely runs as this user; without one the provider may ask first.
func (s *Server) ended(w http.ResponseWriter, r *http.Request) {
	d, ok := s.logouts.take(r.URL.Query().Get("id"))
	if !ok {
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	}
	if !localhost.Own(r) {
		d.EndSessionURL = d.EndSessionPlainURL
	}
	if d.state != "" {
		setCookie(w, leaverCookie(localurl.Port(s.base)), leaverOf(d.state), "/", returnLife)
	}
	if d.terminal != nil { // the terminal says how it went
		close(d.terminal.sent)
		http.Redirect(w, r, d.EndSessionURL, http.StatusSeeOther)
		return
	}
	if d.EndSessionURL != "" {
		w.Header().Set("Refresh", "0; url="+d.EndSessionURL)
	}
	s.layout.Render(w, r, http.StatusOK, &endedTemplate, layout.Page{Title: "Logged out", Data: struct {
		session.Ended
		Of    string
		Local bool
	}{d.Ended, d.of, d.local}})
}

// returning returns the state of the logout from which a browser comes back that sent r, or "". A browser that we led
// to the provider's logout has it in a cookie, for a provider that sends none back; then shown is false. Any page can
// send that browser here, so of such a return no more is believed than that the browser is back.
func (s *Server) returning(r *http.Request) (state string, shown bool) {
	if r.URL.RawQuery != "" {
		if q := r.URL.Query(); q.Has("state") {
			return q.Get("state"), true
		}
	}
	if !s.logouts.expects() {
		return "", false
	}
	for _, cookie := range r.CookiesNamed(leaverCookie(localurl.Port(s.base))) {
		if state := s.logouts.stateOf(cookie.Value); state != "" {
			return state, false
		}
	}
	return "", false
}

// expects reports whether any browser is expected back.
func (l *logouts) expects() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.returns) > 0
}

// leaverOf returns what stands for a state in a cookie, which all servers on localhost get.
func leaverOf(state string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte("leaver:"+state))) }
