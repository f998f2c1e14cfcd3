// Package webui serves the local pages: who is logged in, their claims and tokens, and
// what they protect. A browser sees the user only with the cookie that this server gave
// it: after a login, or through the one-time URL that its owner opens.
package webui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/pages"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// Config says whose pages are served, and what lies behind the guard.
type Config struct {
	Session  *session.Session   // required
	Provider *provider.Provider // required: where the session is from
	BaseURL  string             // "" = http://localhost:3000
	Scope    string             // what a login asks for; "": openid profile email offline_access
	Audience string
	// Store keeps a login that was made here, which may take the place of another subject's session only if mayReplace
	// says so; nil: Session.Replace.
	Store func(ctx context.Context, t *provider.Tokens, mayReplace func(subject string) bool) error

	// Advice returns what a person can do about an error, for a page that shows it, or ""; nil: pages give no advice.
	Advice func(error) string

	Pages               string // a folder to serve under /pages/ to whom is logged in
	Upstream            string // a local server to put behind the guard
	PassAccessToken     bool   // send it a fresh access token
	AllowRemoteUpstream bool   // it may be on another machine

	Now func() time.Time // nil: the clock on the wall
}

// app is the program on the pages.
const app = "loopkey"

// A Server is the local web UI and the guard in front of what it protects.
type Server struct {
	cfg       Config
	base      *url.URL
	flow      *login.Flow
	browsers  *browsers
	watch     *watch
	layout    layout.Layout
	pages     *pages.Site // nil: none
	upstream  http.Handler
	logouts   *logouts
	seen      *seenTokens
	portraits portraits
	stopping  chan struct{} // closed when Run ends, so that streams do
}

// New prepares a server. It makes no request to the provider and reads no keychain.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Session == nil || cfg.Provider == nil {
		return nil, errors.New("webui: a session and a provider are required")
	}
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	cfg.BaseURL = cmp.Or(cfg.BaseURL, localurl.Default)
	base, err := localurl.ParseBase(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL %q %w", cfg.BaseURL, err)
	}
	if cfg.Advice == nil {
		cfg.Advice = func(error) string { return "" }
	}
	if cfg.Store == nil {
		cfg.Store = func(ctx context.Context, t *provider.Tokens, mayReplace func(string) bool) error {
			_, err := cfg.Session.Replace(ctx, t, mayReplace)
			return err
		}
	}
	s := &Server{cfg: cfg, base: base, logouts: newLogouts(cfg.Now), seen: newSeenTokens(cfg.Now), stopping: make(chan struct{})}
	s.browsers = newBrowsers(localurl.Port(base), cfg.Now)
	s.watch = newWatch(cfg.Session, cfg.Now, s.browsers.forget)
	s.layout = layout.Layout{Tenant: host(cfg.Provider.Issuer()), HasPages: cfg.Pages != "", Visitor: s.visitorName}
	if cfg.Pages != "" {
		s.pages, err = pages.New(pages.Config{Dir: cfg.Pages, Layout: &s.layout, Claims: User, Now: cfg.Now})
		if err != nil {
			return nil, err
		}
	}
	if cfg.Upstream != "" {
		if s.upstream, err = s.newUpstream(ctx); err != nil {
			return nil, err
		}
	}
	s.flow = login.New(login.Config{
		Provider: cfg.Provider, RedirectURI: strings.TrimSuffix(cfg.BaseURL, "/") + login.CallbackPath,
		Scope: cfg.Scope, Audience: cfg.Audience, App: app, Cookie: s.browsers.loginCookie(),
		Store: s.store, Done: s.loggedIn, Advice: cfg.Advice, Now: cfg.Now,
	})
	return s, nil
}

func host(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return issuer
	}
	return u.Host
}

// Handler returns every route behind the guard: our Host, then our origin, then the route.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /profile", s.profile)
	mux.HandleFunc("GET /protected", s.protected)
	if s.pages != nil {
		mux.Handle("GET "+pages.Path, s.Guard(s.pages))
	}
	mux.HandleFunc("GET "+layout.LoginPath, s.ownUser(s.login))
	mux.HandleFunc("GET "+login.CallbackPath, localhost.OnlyGET(s.flow.Callback))
	mux.HandleFunc("GET "+login.ResultPath, localhost.OnlyGET(s.flow.Result))
	mux.HandleFunc("GET /auth/enter", localhost.OnlyGET(s.ownUser(s.enter)))
	mux.HandleFunc("GET /auth/logout", s.askLogout)
	mux.HandleFunc("POST /auth/logout", s.logout)
	mux.HandleFunc("GET /auth/ended", s.ownUser(s.ended))
	mux.HandleFunc("POST /auth/backchannel-logout", s.backchannelLogout)
	mux.HandleFunc("GET /auth/events", localhost.OnlyGET(s.ownUser(s.events)))
	mux.HandleFunc("GET /auth/picture", s.picture)
	mux.HandleFunc("GET "+layout.AssetsPath, layout.ServeAsset)
	mux.HandleFunc("/auth/", func(w http.ResponseWriter, r *http.Request) {
		s.layout.Fail(w, r, http.StatusNotFound, layout.Problem{})
	})
	mux.HandleFunc("/", s.rest)
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{Title: "Not from another page", Why: "This can only be asked for by loopkey's own pages."})
	}))
	return localhost.OwnHost(localurl.Port(s.base), app, s.strangers(s.greet(origin.Handler(mux))))
}

// ownUser refuses another user of this machine.
func (s *Server) ownUser(next http.HandlerFunc) http.HandlerFunc {
	return localhost.RefuseOtherUsers(func(*http.Request) bool { return true }, http.HandlerFunc(s.another), next)
}

func (s *Server) another(w http.ResponseWriter, r *http.Request) {
	s.layout.Fail(w, r, http.StatusForbidden, anothers)
}

// strangers makes a stranger of another user of this machine: a known cookie of theirs is stolen, and the state of a
// logout is not theirs to bring back. Their request goes on without either.
func (s *Server) strangers(next http.Handler) http.Handler {
	shows := func(r *http.Request) bool {
		_, known := s.browsers.knows(r)
		return known || s.logouts.waits(r.URL.Query().Get("state"))
	}
	return localhost.RefuseOtherUsers(shows, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Del("Cookie")
		query := r.URL.Query()
		query.Del("state")
		r.URL.RawQuery = query.Encode()
		next.ServeHTTP(w, r)
	}), next.ServeHTTP)
}

// greet lets the open pages of a browser look again when it is back with its new
// cookie: when the session changed, they looked too early. The connections of a browser
// that is known make no room for a stranger's.
func (s *Server) greet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.browsers.arrives(r) {
			s.watch.tell()
		}
		if _, known := s.browsers.knows(r); known {
			localhost.Trust(r)
		}
		next.ServeHTTP(w, r)
	})
}

// Run keeps open pages current until ctx ends: what changes the session, here or in another process, shows on them
// within a second. It is called once. Guard and the pages know of such changes without it when they are asked.
func (s *Server) Run(ctx context.Context) {
	defer close(s.stopping)
	s.watch.run(ctx)
}

// OneTimeURL returns a URL that makes the browser which opens it first, within a minute, one that may see the user.
func (s *Server) OneTimeURL() string {
	return strings.TrimSuffix(s.cfg.BaseURL, "/") + "/auth/enter?once=" + s.browsers.invite()
}

// visitor returns the claims of the user if r comes from a browser that may see them.
func (s *Server) visitor(r *http.Request) (provider.Claims, bool) {
	v := s.watch.view(r.Context())
	subject, ok := s.browsers.knows(r)
	if !ok || !v.loggedIn || subject != anybody && subject != v.info.Subject {
		return nil, false
	}
	return v.info.Claims, true
}

// visitorName returns the name of the visitor as a page shows it.
func (s *Server) visitorName(r *http.Request) (string, bool) {
	claims, ok := s.visitor(r)
	if !ok {
		return "", false
	}
	return words.Name(claims), true
}

// Guard lets only a logged-in browser through to next: any other is sent to log
// in and comes back, and what is no browser gets a 401.
func (s *Server) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, ok := s.visitor(r)
		if !ok {
			s.stranger(w, r)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, claims)))
	})
}

type userKey struct{}

// User returns the claims of the person whose request Guard let through.
func User(r *http.Request) (provider.Claims, bool) {
	claims, ok := r.Context().Value(userKey{}).(provider.Claims)
	return claims, ok
}

// stranger answers a request that comes from no recognised browser.
func (s *Server) stranger(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !layout.WantsPage(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="loopkey"`)
		layout.FailJSON(w, http.StatusUnauthorized, layout.Problem{Next: "Log in with a browser at " + s.cfg.BaseURL + layout.LoginPath + "."})
		return
	}
	http.Redirect(w, r, layout.LoginPath+"?returnTo="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
}

// rest is what no route of ours is: an app behind the guard, or nothing.
func (s *Server) rest(w http.ResponseWriter, r *http.Request) {
	if s.upstream == nil {
		s.layout.Fail(w, r, http.StatusNotFound, layout.Problem{})
		return
	}
	s.Guard(s.upstream).ServeHTTP(w, r)
}
