package webui

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/session"
)

// AnswerTerminals lets the commands of loopkey that find the port taken use this server, until ctx ends. They ask on
// listener. What else than the session a terminal must have in common with this server is in setup, by its name. It is
// exported for loopkey itself: only its commands know where to ask.
func (s *Server) AnswerTerminals(ctx context.Context, listener net.Listener, setup map[string]string) error {
	return handoff.Serve(ctx, listener, handoff.Holder{Session: s.cfg.Session.Name(), Setup: setup}, terminals{s})
}

// TLSHello notes that a browser asked for https at the base URL, so that a login or a logout that times out says so. It
// is exported for loopkey itself: only its commands know their listener.
func (s *Server) TLSHello() {
	s.flow.Note(login.TLSHello)
	s.logouts.seen.Note(login.TLSHello)
}

// terminals does what terminals ask of a server.
type terminals struct{ server *Server }

var _ handoff.Host = terminals{}

// Open implements handoff.Host.
func (t terminals) Open(ctx context.Context, show func(handoff.Opened)) error {
	s := t.server
	oneTime, used := s.OneTimeURL()
	show(handoff.Opened{URL: oneTime, Serving: handoff.Serving{
		Wanted: login.Wanted{Scope: s.cfg.Scope, Audience: s.cfg.Audience, Audiences: s.cfg.Audiences, Params: s.cfg.Params},
		Pages:  s.cfg.Pages, Upstream: s.cfg.Upstream,
		PassAccessToken: s.cfg.PassAccessToken, AllowRemoteUpstream: s.cfg.AllowRemoteUpstream,
	}})
	timer := time.NewTimer(handoff.LinkLife)
	defer timer.Stop()
	select {
	case <-used:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// Login implements handoff.Host.
func (t terminals) Login(ctx context.Context, wanted login.Wanted, at handoff.Terminal) error {
	err := handoff.LogIn(ctx, t.server.flow, wanted, at)
	if err == nil { // the response may have been pasted, and then no browser came
		t.server.watch.refresh(context.WithoutCancel(ctx), true)
	}
	return err
}

// Logout implements handoff.Host. The terminal has deleted the session already, so the browser comes back to a page
// that says so.
func (t terminals) Logout(ctx context.Context, l handoff.Logout, at handoff.Leaving) error {
	s := t.server
	s.watch.refresh(context.WithoutCancel(ctx), true)
	began := s.logouts.seen.Now()
	waiting := &terminal{sent: make(chan struct{}), back: make(chan struct{})}
	id := s.logouts.add(l.State, departure{
		Ended: session.Ended{EndSessionURL: l.URL, EndSessionPlainURL: l.PlainURL}, terminal: waiting,
	})
	at.Show(s.url(endedPath(id)))
	if err := s.logouts.wait(ctx, waiting.sent, began); err != nil {
		if errors.Is(err, login.ErrTimeout) {
			err = fmt.Errorf("%w: %w", login.ErrNoVisit, err)
		}
		return err
	}
	at.Left()
	if l.State == "" { // then a browser that comes back is not told from any other
		return nil
	}
	if err := s.logouts.wait(ctx, waiting.back, began); err != nil {
		return err
	}
	if waiting.noState {
		return login.ErrNoState
	}
	return nil
}
