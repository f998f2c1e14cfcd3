package webui

import (
	"cmp"
	"context"
	"net/http"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/upstream"
)

// newUpstream prepares the app that is behind the guard.
func (s *Server) newUpstream(ctx context.Context) (http.Handler, error) {
	cfg := upstream.Config{
		URL: s.cfg.Upstream, AllowRemote: s.cfg.AllowRemoteUpstream,
		OwnPort: localurl.Port(s.base), OwnCookies: cookiePrefix,
		User: User, Fail: s.upstreamFailed,
	}
	if s.cfg.PassAccessToken {
		cfg.AccessToken = s.newAppToken().get
	}
	return upstream.New(ctx, cfg)
}

// upstreamFailed says why the app was not asked or gave no response.
func (s *Server) upstreamFailed(w http.ResponseWriter, r *http.Request, f upstream.Failure) {
	next := cmp.Or(s.advice(f.Cause), s.advice(f.Reason))
	if f.Waiting && layout.WantsPage(r) {
		s.layout.Render(w, r, f.Status, &downTemplate, layout.Page{
			Title: f.Title, Script: "waiting.js", Data: struct{ Why, Next string }{f.Why, next},
		})
		return
	}
	p := layout.Problem{Title: f.Title, Why: f.Why, Next: next}
	if f.LogIn {
		p.Links = []layout.Link{{Text: "Log in", URL: loginURL(r)}}
	}
	s.layout.Fail(w, r, f.Status, p)
}
