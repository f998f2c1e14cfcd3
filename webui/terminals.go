package webui

import (
	"context"
	"net"
	"net/url"

	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/session"
)

// AnswerTerminals lets the commands of loopkey that find the port taken use this server, until ctx ends. They ask on
// listener. It is exported for loopkey itself: only its commands know where to ask.
func (s *Server) AnswerTerminals(ctx context.Context, listener net.Listener) error {
	return handoff.Serve(ctx, listener, s.cfg.Session.Name(), terminals{s})
}

// terminals does what terminals ask of a server.
type terminals struct{ server *Server }

var _ handoff.Host = terminals{}

// OneTimeURL implements handoff.Host.
func (t terminals) OneTimeURL(context.Context) (string, error) { return t.server.OneTimeURL(), nil }

// Login implements handoff.Host.
func (t terminals) Login(ctx context.Context, params url.Values, show func(url string)) error {
	flow := t.server.flow
	pending, err := flow.Begin(ctx, login.Request{Params: params, CLI: true})
	if err != nil {
		return err
	}
	defer flow.Drop(pending)
	show(pending.URL)
	_, err = pending.Wait(ctx)
	return err
}

// Logout implements handoff.Host. The terminal has deleted the session already, so the browser comes back to a page
// that says so.
func (t terminals) Logout(ctx context.Context, l handoff.Logout, show func(url string)) error {
	s := t.server
	s.watch.refresh(context.WithoutCancel(ctx), true)
	waiting := &terminal{sent: make(chan struct{}), back: make(chan struct{})}
	id := s.logouts.add(l.State, departure{session.Ended{EndSessionURL: l.URL, EndSessionPlainURL: l.PlainURL}, waiting})
	show(s.url(endedPath(id)))
	done := waiting.back
	if l.State == "" { // then a browser that comes back is not told from any other
		done = waiting.sent
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
