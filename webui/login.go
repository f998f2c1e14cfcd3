package webui

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// loginParams are the parameters of a login page's URL that go to the provider. No others do.
func loginParams() []string {
	return []string{
		"organization", "connection", "login_hint", "screen_hint", "prompt", "acr_values", "max_age", "ui_locales",
		"invitation",
	}
}

// login begins a login in the browser that asks for it.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	returnTo, ok := login.ReturnTo(query.Get("returnTo"))
	if !ok {
		returnTo = "/"
	}
	params, same := url.Values{}, url.Values{"returnTo": {returnTo}}
	maps.Copy(params, s.cfg.Params)
	for _, name := range loginParams() {
		if value := query.Get(name); value != "" {
			params.Set(name, value)
			same.Set(name, value)
		}
	}
	again := layout.LoginPath + "?" + same.Encode()
	// Any page can send the user's browser here, and then to the callback with its own user's authorization code. So
	// only a known browser whose user came by themselves may replace another user's session.
	_, known := s.browsers.knows(r)
	byThemselves := slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site"))
	guest := !known || !byThemselves
	if known && guest { // else the way to another try would make them look as though they came by themselves
		again = ""
	}
	pending, err := s.flow.Begin(r.Context(), login.Request{
		Wanted:   login.Wanted{Scope: s.cfg.Scope, Audience: s.cfg.Audience, Audiences: s.cfg.Audiences, Params: params},
		ReturnTo: returnTo, Again: again, Browser: s.bind(w, r), Guest: guest,
	})
	if err != nil {
		var links []layout.Link
		if again != "" {
			links = []layout.Link{{Text: "Try again", URL: again}}
		}
		s.failed(w, r, err, links...)
		return
	}
	http.Redirect(w, r, pending.URL, http.StatusSeeOther)
}

// bind returns what the browser has to show again when its login is done. Logins that were begun in several tabs share
// it.
func (s *Server) bind(w http.ResponseWriter, r *http.Request) string {
	name := loginCookie(localurl.Port(s.base))
	text, _ := secret()
	if had := r.CookiesNamed(name); len(had) == 1 && len(had[0].Value) == len(text) &&
		!strings.ContainsFunc(had[0].Value, func(c rune) bool { return c > 'z' }) {
		return had[0].Value
	}
	setCookie(w, name, text, "/auth/", login.WaitingLife)
	return text
}

// store keeps a login. Everybody on this machine can make one here, and so can a page that sends a browser to the
// login: neither may replace the session of the user who is logged in.
func (s *Server) store(ctx context.Context, r *http.Request, p *login.Pending, t *provider.Tokens) error {
	if wanted := p.Wanted(); wanted.Beside && p.CLI {
		return s.cfg.Session.StepUp(ctx, t, wanted.Need) //nolint:wrapcheck // the words are the session's
	}
	mayReplace := func(string) bool { return true } // the user at the terminal asked for it
	if !p.CLI {
		subject, known := s.browsers.knows(r)
		mayReplace = func(other string) bool {
			return known && !p.Guest && (subject == anySubject || subject == other)
		}
	}
	err := s.cfg.Store(ctx, t, mayReplace)
	if errors.Is(err, session.ErrSomebodyElse) {
		return otherUserError{}
	}
	return err
}

// An otherUserError refuses a login in place of another user's.
type otherUserError struct{}

func (otherUserError) Error() string {
	return "somebody else is logged in here, and this browser has not shown that it is theirs"
}

func (otherUserError) Unwrap() error { return login.ErrForbidden }

// loggedIn is called when a login is verified and stored. The browser that made it is recognised and goes back to
// where it came from. It reports whether it has replied.
func (s *Server) loggedIn(w http.ResponseWriter, r *http.Request, p *login.Pending, t *provider.Tokens) bool {
	whole := s.browsers.isWhole(r) || localhost.Own(r)
	// First, because it forgets the browsers of the session before.
	s.watch.refresh(context.WithoutCancel(r.Context()), true)
	s.browsers.recognise(w, r, t.Claims.Subject(), whole)
	if p.CLI { // the page of a terminal's login says that it worked
		return false
	}
	http.Redirect(w, r, p.ReturnTo, http.StatusSeeOther)
	return true
}
