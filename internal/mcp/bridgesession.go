package mcp

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
)

// A session is what initialize led to (2025-11-25 and before).
type session struct {
	id      string // "": the server has none
	version string // the protocol version that host and server agreed on

	// Under bridge.mu:
	listening bool
	stop      context.CancelFunc // stops listening; nil: it has not begun
}

func (s *session) hasID() bool { return s != nil && s.id != "" }

// header returns the fields that say which session and version a request belongs to. version is that of a modern
// request, which belongs to no session.
func (s *session) header(version string) http.Header {
	header := http.Header{}
	if s.hasID() {
		header["Mcp-Session-Id"] = []string{s.id}
	}
	if version == "" && s != nil {
		version = s.version
	}
	if version != "" && visible(version) {
		header["Mcp-Protocol-Version"] = []string{version}
	}
	return header
}

// current returns the session, and the stream where the server speaks HTTP with SSE.
func (b *bridge) current() (*session, *legacy) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.session, b.legacy
}

// heard notes that the server speaks Streamable HTTP.
func (b *bridge) heard() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.transport == unknown {
		b.transport = streamable
	}
}

// sessionOf returns the session that a response to initialize began; nil if it did not.
func (b *bridge) sessionOf(c *call, m *message) *session {
	result := m.fields["result"]
	if result == nil {
		return nil
	}
	s := &session{version: text(result, "protocolVersion")}
	if visible(c.sessionID) {
		s.id = c.sessionID
	} else {
		b.log("the server's session ID is not used: it has other characters than visible ASCII")
	}
	return s
}

// begun keeps what the host's initialize led to.
func (b *bridge) begun(c *call, m *message) {
	s := b.sessionOf(c, m)
	if s == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session.stopListening() // one before
	b.session, b.initialize, b.initialized, b.settings = s, c.message, nil, settings{}
}

// renewLimit is how long a new session may take.
const renewLimit = time.Minute

// renew begins a new session in place of one that the server does not know any more. The host learns nothing of it.
func (b *bridge) renew(ctx context.Context, lost *session) error {
	ctx, cancel := context.WithTimeout(ctx, renewLimit)
	defer cancel()
	select {
	case b.renewing <- struct{}{}:
		defer func() { <-b.renewing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b.mu.Lock()
	initialize, initialized, other := b.initialize, b.initialized, b.session != lost
	again := b.settings.requests()
	b.mu.Unlock()
	if other {
		return nil // somebody else did it
	}
	b.log("the server does not know the session any more: beginning a new one")
	resp, err := b.exchange(ctx, b.post(initialize, nil, "")) //nolint:bodyclose // respond closes it
	if err != nil {
		return err
	}
	var s *session
	c := b.own(initialize, nil)
	c.take = func(m *message) { s = b.sessionOf(c, m) }
	if err := b.respond(ctx, c, nil, resp); err != nil {
		return err
	}
	if s == nil || s.version != lost.version {
		return failure(codeSession, "%s lost the session and began none like it", b.host())
	}
	if initialized != nil {
		resp, err := b.exchange(ctx, b.post(initialized, s, ""))
		if err != nil {
			return err
		}
		defer discard(resp)
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return b.statusError(resp)
		}
	}
	b.setAgain(ctx, again, func(ctx context.Context, c *call) error {
		resp, err := b.exchange(ctx, b.post(c.message, s, "")) //nolint:bodyclose // respond closes it
		if err != nil {
			return err
		}
		return b.respond(ctx, c, s, resp)
	})
	b.mu.Lock()
	b.session.stopListening()
	b.session = s
	b.mu.Unlock()
	if initialized != nil {
		b.listen(ctx, s)
	}
	return nil
}

// listen opens the stream of what the server sends by itself, unless it is open.
func (b *bridge) listen(ctx context.Context, s *session) {
	listening, cancel := b.untilEnd(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != s || s.listening {
		cancel()
		return
	}
	s.listening, s.stop = true, cancel
	b.background.Go(func() {
		defer cancel()
		again := b.hear(listening, s)
		b.mu.Lock()
		s.listening = false
		if !again {
			s.stop = nil
		}
		b.mu.Unlock()
	})
}

// listenAgain opens that stream again if it ended for want of a token.
func (b *bridge) listenAgain(ctx context.Context, s *session) {
	b.mu.Lock()
	ended := s != nil && s.stop != nil && !s.listening && b.session == s
	b.mu.Unlock()
	if ended {
		b.listen(ctx, s)
	}
}

// stopListening closes that stream. The caller holds bridge.mu.
func (s *session) stopListening() {
	if s != nil && s.stop != nil {
		s.stop()
		s.stop = nil
	}
}

// stopListening closes all streams that belong to no request.
func (b *bridge) stopListening() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session.stopListening()
	if b.legacy != nil && len(b.calls) == 0 { // else responses may be under way on it
		b.legacy.stop()
	}
}

// hear passes on what the server sends by itself. It returns when the server has no such stream (405), when ctx ends,
// and when the server asks for another token: nobody waits for this stream, so it is no reason to ask a person to log
// in. It reports whether the stream is to be opened again once the host has used a token that the server takes.
func (b *bridge) hear(ctx context.Context, s *session) (again bool) {
	events := newEventReader(bytes.NewReader(nil), maxMessage)
	opened := false
	for attempts := 0; ; attempts++ {
		r := b.get(s, events.lastID)
		r.quiet = true
		resp, err := b.exchange(ctx, r)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				discard(resp)
			}
			return false
		case err != nil:
			if attempts == 0 {
				b.log("the stream for what the server sends by itself: %v", err)
			}
		case resp.StatusCode == http.StatusOK && mediaType(resp) == "text/event-stream":
			opened = true
			events = events.resume(resp.Body)
			if progress, err := b.events(ctx, nil, events, resp); err != nil {
				return false
			} else if progress {
				attempts = 0
			}
		default:
			discard(resp)
			switch {
			case wantsToken(resp.StatusCode, resp.Header.Values("WWW-Authenticate")):
				return true
			case resp.StatusCode == http.StatusNotFound && opened && s.hasID():
				if err := b.renew(ctx, s); err == nil || ctx.Err() != nil {
					return false // renew listens to the new session
				}
			case resp.StatusCode < 500 && (!opened || resp.StatusCode != http.StatusConflict):
				if resp.StatusCode != http.StatusMethodNotAllowed {
					b.log("the server has no stream for what it sends by itself: %v", b.statusError(resp))
				}
				return false
			}
		}
		if clock.Pause(ctx, pauseBefore(attempts, events.retry)) != nil {
			return false
		}
	}
}

// endSession tells the server that the session has ended.
func (b *bridge) endSession(ctx context.Context) {
	s, _ := b.current()
	if !s.hasID() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endSession)
	defer cancel()
	r := &httpRequest{method: http.MethodDelete, url: b.url, header: s.header(""), quiet: true}
	resp, err := b.exchange(ctx, r)
	if err != nil {
		b.log("the session was not ended: %v", err)
		return
	}
	_ = resp.Body.Close() // some servers have no DELETE (405): the session ends by itself there
}
