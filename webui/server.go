// Package webui puts a login and a guard into a program's own server on localhost, and serves pages about the user who
// is logged in.
//
//	server, err := webui.New(ctx, webui.Config{Session: s, BaseURL: baseURL})
//	if err != nil {
//		return nil, err
//	}
//	mux := http.NewServeMux()
//	mux.Handle("/app/", server.Guard(app))
//	mux.Handle("/", server.Handler()) // the login, the logout and the pages
//	go server.Run(ctx)                // keeps open pages current
//
// A browser sees the user only with the cookie that this server gave it: after a login, or when it opened a one-time
// URL. To run on the same machine is no proof of being the same person. Logins follow OpenID Connect Core 1.0, logouts
// RP-Initiated Logout 1.0 and Back-Channel Logout 1.0.
package webui

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/pages"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// Config says whose session the pages are about. Only Session is required.
type Config struct {
	Session  *session.Session
	AppName  string // the program, as pages name it; "": loopkey
	BaseURL  string // of this server; "": http://localhost:3000. The provider has to know BaseURL + /auth/callback
	Scope    string // what a login asks for; "": provider.DefaultScope
	Audience string // the API that a login's access token is for; "": the provider's default
	// Audiences are further APIs, as loopback.Config has them.
	Audiences []string
	Params    url.Values // further authorization parameters of the logins that browsers begin here

	// Store keeps a login that was made here. It replaces the session of another subject only if mayReplace allows
	// that subject; else its error wraps session.ErrSomebodyElse. nil: Session.Replace.
	Store func(ctx context.Context, t *provider.Tokens, mayReplace func(subject string) bool) error
	// Advice returns what the user can do about an error that a page shows, or ""; nil: pages give no advice. It is
	// asked about errors of provider, session and keystore, and about ErrUnknownBrowser and ErrLinkUsed.
	Advice func(error) string
	// Others returns the user's sessions beside Session, which the start page shows to a browser that surely is the
	// user's: one that opened a one-time URL, or that the system says runs as this user. Its sessions are renewed and
	// ended by what that browser sends. Its calls do not overlap. nil: there are none.
	Others func(ctx context.Context) []Other
	// Events returns what happened last to the sessions, the newest first, for the same browsers. Its calls do not
	// overlap. nil: nothing is shown.
	Events func(ctx context.Context) []Event
	// Checks finds what is wrong with the setup, for the same browsers, when the user asks for it. It returns when ctx
	// ends. Its calls do not overlap. nil: the start page offers no checks.
	Checks func(ctx context.Context) []Finding
	// Commands are what the start page offers to copy.
	Commands []Commands
	Hint     string // says on the start page what else the user can do; text in backquotes is code

	Pages               string // a folder that logged-in users see under /pages/; "": none
	Upstream            string // the URL of a local app to put behind the guard; it has / then; "": none
	PassAccessToken     bool   // the app gets a fresh access token with each request
	AllowRemoteUpstream bool   // the app may be on another machine

	Now func() time.Time // nil: the clock on the wall
}

// A Server has a login, a guard, and pages about the user. It is safe for concurrent use.
type Server struct {
	cfg       Config
	provider  *provider.Provider
	base      *url.URL
	flow      *login.Flow
	browsers  *browsers
	watch     *watch
	layout    layout.Layout
	pages     *pages.Site  // nil: none
	upstream  http.Handler // nil: none
	logouts   *logouts
	seen      *seenTokens
	portraits portraits
	others    others
	checking  chan struct{} // has a value while checks are made
	streams   streams

	homePage, profilePage, protectedPage, protectedJSON drawn
}

// New prepares a server. It makes no request to the provider and does not read the session. It opens the folder of
// pages, and looks up the name of the app.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Session == nil {
		return nil, errors.New("webui: Config.Session is required")
	}
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	cfg.AppName = cmp.Or(cfg.AppName, "loopkey")
	cfg.BaseURL = cmp.Or(cfg.BaseURL, localurl.Default)
	base, err := localurl.Base(cfg.BaseURL)
	if err != nil {
		return nil, err
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
	s := &Server{
		cfg: cfg, provider: cfg.Session.Provider(), base: base,
		checking: make(chan struct{}, 1), logouts: newLogouts(cfg.Now),
		seen: newSeenTokens(cfg.Now), streams: streams{stopping: make(chan struct{})},
	}
	s.browsers = newBrowsers(browserCookie(localurl.Port(base)), cfg.Now)
	s.watch = newWatch(cfg.Session, cfg.Now, s.browsers.forget)
	s.layout = layout.Layout{
		App: cfg.AppName, Tenant: host(s.provider.Issuer()), Home: "/", HasPages: cfg.Pages != "", Visitor: s.visitorName,
	}
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
		s.layout.Home, s.layout.HasApp = ownHome, true
	}
	s.flow = login.New(login.Config{
		Prover: func(ctx context.Context, wanted login.Wanted) (*provider.Prover, error) {
			if wanted.Beside {
				return cfg.Session.StepUpProver(ctx)
			}
			return cfg.Session.Provider().NewProver(ctx)
		},
		Provider: s.provider, RedirectURI: localurl.At(cfg.BaseURL, login.CallbackPath),
		App: cfg.AppName, Home: s.layout.Home, Cookie: loginCookie(localurl.Port(base)),
		Store: s.store, Done: s.loggedIn, Advice: cfg.Advice, Now: cfg.Now,
	})
	return s, nil
}

// host returns the host of an issuer, as pages name it.
func host(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return issuer
	}
	return u.Host
}

// Handler returns the login, the logout and the pages, each at its own path.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()

	// For the user alone.
	mux.Handle("GET /profile", s.show(s.profile))
	mux.Handle("GET "+protectedPath, s.show(s.protected))
	mux.Handle("GET "+picturePath, s.guard(http.HandlerFunc(s.picture)))
	if s.pages != nil {
		mux.Handle("GET "+pages.Path, s.guard(s.pages))
	}
	if s.upstream != nil {
		app := s.guard(s.upstream)
		mux.Handle("/", app)
		mux.HandleFunc("GET /{$}", s.beforeApp(app))
		mux.HandleFunc("GET "+ownHome+"{$}", s.home)
		mux.HandleFunc("GET "+login.ShortPath, func(w http.ResponseWriter, r *http.Request) {
			if s.flow.Leads(r) {
				s.flow.Short(w, r)
			} else { // the app's own
				app.ServeHTTP(w, r)
			}
		})
	} else {
		mux.HandleFunc("GET "+login.ShortPath, s.flow.Short)
		mux.HandleFunc("/", s.nothing)
		mux.HandleFunc("GET /{$}", s.home)
		mux.Handle("GET "+ownHome+"{$}", http.RedirectHandler("/", http.StatusSeeOther))
	}

	// For everybody. These, and the start page, show the user to a recognised browser alone, and let no other browser
	// log out.
	mux.HandleFunc("GET /auth/logout", s.askLogout)
	mux.HandleFunc("POST /auth/logout", s.logout)
	mux.Handle("POST /auth/renew", s.act(s.renew))
	mux.Handle("POST "+checksPath, s.act(s.checks))

	// For every browser of this user of the machine. What happens once is for navigations alone, what lasts for no HEAD.
	mux.HandleFunc("GET "+layout.LoginPath, localhost.OnlyNavigation(s.cfg.AppName, s.ownUser(s.login)))
	mux.HandleFunc("GET "+enterPath, localhost.OnlyNavigation(s.cfg.AppName, s.ownUser(s.enter)))
	mux.HandleFunc("GET "+handoff.LogoutPath, localhost.OnlyNavigation(s.cfg.AppName, s.ownUser(s.ended)))
	mux.HandleFunc("GET /auth/events", localhost.OnlyGET(s.ownUser(s.events)))

	// For a browser or a provider that shows what no other has: the state of a login, or a signed token.
	mux.HandleFunc("GET "+login.CallbackPath, s.flow.Callback)
	mux.HandleFunc("GET "+login.ResultPath, s.flow.Result)
	mux.HandleFunc("POST /auth/backchannel-logout", s.backchannelLogout)

	mux.HandleFunc("GET "+layout.AssetsPath, layout.ServeAsset)
	mux.HandleFunc("/auth/", s.nothing)
	return s.front(mux)
}

// nothing is at every address that has no page.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	s.layout.Fail(w, r, http.StatusNotFound, layout.Problem{})
}

// Run keeps open pages current until ctx ends: what changes the session, here or in another process, shows on them
// within a second, and what becomes of the other sessions and the events within two. It is called once. Guard and the
// pages know of such changes without it when they are asked.
func (s *Server) Run(ctx context.Context) {
	defer s.streams.run()()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { s.watchOthers(ctx) })
	s.watch.run(ctx)
}

// HomeURL returns the URL of the start page: the base URL, or one below it where an app has that.
func (s *Server) HomeURL() string { return s.url(s.layout.Home) }

// url returns the URL of a path of this server.
func (s *Server) url(path string) string { return localurl.At(s.cfg.BaseURL, path) }

// visitorName returns the name of the user for the header of a page, if r comes from a browser that may see it.
func (s *Server) visitorName(r *http.Request) (string, bool) {
	info, ok := guarded(r)
	if !ok {
		info, ok = s.visit(r)
	}
	if !ok {
		return "", false
	}
	return words.Name(info.Claims), true
}

// advice returns what the user can do about an error as a sentence, or "".
func (s *Server) advice(err error) string {
	if err == nil {
		return ""
	}
	return words.Whole(s.cfg.Advice(err))
}

// failed says on a page that err has happened, with the ways on.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, err error, ways ...layout.Link) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, provider.ErrUnreachable), errors.Is(err, provider.ErrUntrusted):
		status = http.StatusBadGateway
	case errors.Is(err, session.ErrKeystore):
		status = http.StatusServiceUnavailable
	}
	s.layout.Fail(w, r, status, layout.Problem{
		Title: "That did not work", Why: words.Sentence(words.Printable(err.Error())) + ".", Next: s.advice(err),
		Links: ways,
	})
}
