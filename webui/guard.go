package webui

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// Guard returns a handler that calls next for a request of the logged-in user's browser and for no other. It can stand
// in any mux and at any path, in the same server as Handler, which has the login. It refuses:
//
//   - a Host that is not localhost, 127.0.0.1 or [::1] with the port of Config.BaseURL (DNS rebinding);
//   - what another origin's page makes the browser send, other ports of localhost included. Only a link to here is
//     followed;
//   - a browser that was not recognised, another user of this machine with the cookie of one that was (where the system
//     tells, which is Linux), and every browser once the session has ended. A browser that navigates is sent to the
//     login and comes back, any other client gets a 401.
//
// Where ID token and access tokens have expired it renews the session first, for the provider may have ended it; what
// next does for a session that has ended is ended too, by the request's context. While the keystore can't be asked
// nobody is let in and nobody is forgotten: a recognised browser gets a 503.
//
// For next, User returns the claims of the user. Browsers neither cache its responses nor let other origins embed them,
// unless next sets Cache-Control or Cross-Origin-Resource-Policy. Guard sets no Content-Security-Policy.
func (s *Server) Guard(next http.Handler) http.Handler { return s.front(s.guard(next)) }

// guard is Guard behind front.
func (s *Server) guard(next http.Handler) http.Handler {
	return s.show(func(w http.ResponseWriter, r *http.Request, v view) {
		ctx, end := context.WithCancel(context.WithValue(r.Context(), visitKey{}, &v))
		defer end()
		defer s.watch.whenEnded(end)()  // streams and WebSockets of the session end with it
		localhost.OwnPolicy(w.Header()) // or next's own pages could load nothing
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// show is guard for a page that is sent at once. It gets what is known of the session, of which the user of r is.
func (s *Server) show(page func(http.ResponseWriter, *http.Request, view)) http.Handler {
	return s.admit(page, s.refuseStranger)
}

// act is show for a form of the start page. One that a stranger sends, or that was on a page about a session that has
// ended, does nothing and leads there.
func (s *Server) act(do func(http.ResponseWriter, *http.Request, view)) http.Handler {
	return s.admit(do, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
	})
}

// admit passes a request of the user's browser to page, and that of a stranger to refuse.
func (s *Server) admit(page func(http.ResponseWriter, *http.Request, view), refuse http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := s.watch.view(r.Context())
		if !s.recognised(r, before) {
			refuse(w, r)
			return
		}
		v := s.watch.fresh(r.Context())
		switch {
		case v.err != nil:
			s.cannotTell(w, r, v.err)
		case v.number != before.number && !s.recognised(r, v) || !v.loggedIn:
			refuse(w, r)
		case isForeign(r):
			s.refuseForeign(w, r)
		default:
			page(w, r, v)
		}
	})
}

type visitKey struct{}

// User returns the claims of the user whose request Guard let through. It returns false for any other request.
func User(r *http.Request) (provider.Claims, bool) {
	info, ok := guarded(r)
	return info.Claims, ok
}

// guarded returns the session of the user whose request Guard let through.
func guarded(r *http.Request) (session.Info, bool) {
	v, ok := r.Context().Value(visitKey{}).(*view)
	if !ok {
		return session.Info{}, false
	}
	return v.info, true
}

// visit returns the session if r comes from a browser that may see it.
func (s *Server) visit(r *http.Request) (session.Info, bool) {
	v := s.watch.view(r.Context())
	if v.err != nil || !v.loggedIn || !s.recognised(r, v) {
		return session.Info{}, false
	}
	return v.info, true
}

// recognised reports whether r comes from a browser that was recognised for the user of v. Where it was never known who
// that is, any recognised browser is.
func (s *Server) recognised(r *http.Request, v view) bool {
	subject, ok := s.browsers.knows(r)
	own := subject == anySubject || v.info.Subject == "" || subject == v.info.Subject
	return ok && own && (v.loggedIn || v.err != nil)
}

// cannotTell says that it is not known now whether the user is still logged in.
func (s *Server) cannotTell(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Retry-After", "2")
	s.layout.Fail(w, r, http.StatusServiceUnavailable, layout.Problem{
		Title: "The session can't be read just now",
		Why:   words.Sentence(words.Printable(err.Error())) + ".",
		Next:  s.advice(err),
		Links: []layout.Link{{Text: "Try again", URL: r.URL.RequestURI()}},
	})
}

// front is in front of every route: what it refuses no route sees, whether it is guarded or not.
func (s *Server) front(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection() // of all methods but GET, HEAD and OPTIONS
	origin.SetDenyHandler(http.HandlerFunc(s.refuseForeign))
	here := s.greet(origin.Handler(next))
	led := localhost.AtHost(s.base, here)
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.flow.IsForTerminal(r) { // a browser that changes http to https does so with a name again, not with an address
			here.ServeHTTP(w, r)
		} else {
			led.ServeHTTP(w, r)
		}
	})
	return localhost.OwnHost(localurl.Port(s.base), s.cfg.AppName, inner)
}

// greet lets open pages ask for themselves again when a browser is back with its new cookie: they were told of the new
// session before the browser had it. The connection of a known browser makes no room for a stranger's.
//
// From a request of another user of this machine it takes what makes it more than a stranger's: a cookie that is known
// here was stolen, and the state of a logout is not theirs to bring back. Whose a request is costs a question to the
// kernel, which is asked about requests with one of these alone.
func (s *Server) greet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, known := s.browsers.knows(r)
		state, _ := s.returning(r)
		back := s.logouts.waits(state)
		if (known || back) && localhost.Foreign(r) {
			if back {
				s.logouts.seen.Note(login.OtherUser)
			}
			r, known = disarmed(r), false
		}
		if s.browsers.arrives(r) {
			s.watch.tell()
		}
		if known {
			localhost.Trust(r)
		}
		next.ServeHTTP(w, r)
	})
}

// disarmed returns r without its cookies and without the state of a logout.
func disarmed(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Del("Cookie")
	query := r.URL.Query()
	query.Del("state")
	r.URL.RawQuery = query.Encode()
	return r
}

// ownUser refuses all requests of another user of this machine.
func (s *Server) ownUser(next http.HandlerFunc) http.HandlerFunc {
	return localhost.RefuseOtherUsers(func(*http.Request) bool { return true }, http.HandlerFunc(s.refuseOtherUser), next)
}

func (s *Server) refuseOtherUser(w http.ResponseWriter, r *http.Request) {
	s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{
		Title: "Not for this user", Why: "This server belongs to another user of this machine.",
	})
}

// isForeign reports whether a page of another origin makes the browser send r, other than by leading the user here.
// Cookies know no port, so a page of any server on localhost can send ours. CrossOriginProtection lets every GET
// through, and a WebSocket begins with one.
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return !isNavigation(r)
	case "same-origin", "none": // surer than Origin, which is null for a form on a page that sends no referrer
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// isNavigation reports whether a browser surely opens r in a tab for its user. A client that does not say so does not.
func isNavigation(r *http.Request) bool {
	return localhost.IsNavigation(r) && r.Header.Get("Sec-Fetch-Mode") != "" && r.Header.Get("Sec-Fetch-Dest") != ""
}

func (s *Server) refuseForeign(w http.ResponseWriter, r *http.Request) {
	s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{
		Title: "Not from another page",
		Why:   "A page of another origin asked for this. Links to here are followed; nothing else from outside is.",
	})
}

// refuseStranger sends a browser that navigates to the login, from which it comes back.
func (s *Server) refuseStranger(w http.ResponseWriter, r *http.Request) {
	if !layout.WantsPage(r) {
		w.Header().Set("WWW-Authenticate", s.layout.Challenge())
		layout.FailJSON(w, http.StatusUnauthorized, layout.Problem{
			Next: "Log in with a browser at " + s.cfg.BaseURL + layout.LoginPath + ".",
		})
		return
	}
	http.Redirect(w, r, loginURL(r), http.StatusSeeOther)
}

// loginURL returns the URL of a login that leads back to what r asked for.
func loginURL(r *http.Request) string {
	here := r.RequestURI // the mux around the guard may have taken a part of the path away
	if !strings.HasPrefix(here, "/") {
		here = r.URL.RequestURI()
	}
	return layout.LoginPath + "?" + url.Values{"returnTo": {here}}.Encode()
}
