package webui

import (
	"runtime"

	"github.com/loopkey/loopkey/internal/handoff"
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

// Methods says in words how a user logged in.
var Methods = methods

// Doubt has the server no longer take any browser for surely the user's.
func Doubt(s *Server) {
	s.browsers.mu.Lock()
	defer s.browsers.mu.Unlock()
	for hash, m := range s.browsers.known {
		m.whole = false
		s.browsers.known[hash] = m
	}
}
