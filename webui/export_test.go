package webui

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/layout"
)

// Terminals is what terminals ask of a server.
func Terminals(s *Server) handoff.Host { return terminals{s} }

// LimitStreams sets how many streams there may be.
func LimitStreams(s *Server, most int) { s.watch.most = most }

// AwaitStreams returns once no more than that many streams are open.
func AwaitStreams(s *Server, most int) {
	for {
		s.watch.mu.Lock()
		open := len(s.watch.listeners)
		s.watch.mu.Unlock()
		if open <= most {
			return
		}
		runtime.Gosched()
	}
}

// BareHome draws the same template as the home page for everybody: no guard, no cookie, no session.
func BareHome(testing.TB) http.Handler {
	l := layout.Layout{Tenant: "127.0.0.1", Visitor: func(*http.Request) (string, bool) {
		return "Ada Lovelace", true
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.Render(w, r, http.StatusOK, &homeTemplate, layout.Page{Section: "home", Script: "live.js", Data: homeData{
			Known: true, Name: "Ada Lovelace", Initials: "AL", Email: "ada@example.com", Issuer: "http://127.0.0.1",
		}})
	})
}
