package mcp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// A legacy is a connection to a server that speaks HTTP with SSE, the transport of 2024-11-05: one stream of events
// brings all that the server sends, and names the endpoint that takes all that the host sends.
type legacy struct {
	endpoint *url.URL
	ended    chan struct{} // closed when the stream has ended, and the server's session with it
	stop     context.CancelFunc
}

// endpointLimit is how long the server may take to name its endpoint.
const endpointLimit = 10 * time.Second

// openLegacy connects, where the server has no Streamable HTTP, or after the stream has ended.
func (b *bridge) openLegacy(ctx context.Context) error {
	select {
	case b.renewing <- struct{}{}:
		defer func() { <-b.renewing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	_, before := b.current()
	if before != nil && !before.isOver() {
		return nil // somebody else did it
	}
	l, err := b.connectLegacy(ctx)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.transport, b.legacy = httpSSE, l
	initialize, initialized, s := b.initialize, b.initialized, b.session
	again := b.settings.requests()
	b.mu.Unlock()
	if before == nil {
		b.log("the server speaks HTTP with SSE, the transport of 2024-11-05")
	}
	if initialize == nil {
		return nil
	}
	if err := b.replayLegacy(ctx, l, s, initialize, initialized, again); err != nil {
		l.stop() // so that the next message begins anew
		return err
	}
	return nil
}

func (l *legacy) isOver() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// connectLegacy opens the stream and waits for the endpoint.
func (b *bridge) connectLegacy(ctx context.Context) (*legacy, error) {
	streaming, cancel := b.untilEnd(ctx)
	defer context.AfterFunc(ctx, cancel)()
	s, _ := b.current()
	resp, err := b.exchange(streaming, b.get(s, ""))
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || mediaType(resp) != "text/event-stream" {
		discard(resp)
		cancel()
		return nil, b.statusError(resp)
	}
	events := newEventReader(resp.Body, maxMessage)
	timer := time.AfterFunc(endpointLimit, cancel)
	first, err := events.next()
	timer.Stop()
	if err != nil || first.name != "endpoint" {
		_ = resp.Body.Close()
		cancel()
		return nil, errors.New("the stream does not begin with an endpoint")
	}
	endpoint, err := resp.Request.URL.Parse(strings.TrimSpace(string(first.data)))
	if err != nil || !sameOrigin(endpoint, b.url) || endpoint.User != nil {
		_ = resp.Body.Close()
		cancel()
		return nil, errors.New("the server's endpoint is at another origin")
	}
	l := &legacy{endpoint: endpoint, ended: make(chan struct{}), stop: cancel}
	b.background.Go(func() {
		defer close(l.ended)
		defer cancel()
		_, _ = b.events(streaming, nil, events, resp)
	})
	return l, nil
}

// replayLegacy repeats on a new stream what the host said at the beginning.
func (b *bridge) replayLegacy(
	ctx context.Context, l *legacy, s *session, initialize, initialized *message, settings []*message,
) error {
	ctx, cancel := context.WithTimeout(ctx, renewLimit)
	defer cancel()
	var version string
	c := b.own(initialize, func(m *message) { version = text(m.fields["result"], "protocolVersion") })
	if err := b.repeatLegacy(ctx, l, c); err != nil {
		return err
	}
	if version == "" || version != s.version {
		return failure(codeSession, "%s lost the session and began none like it", b.host())
	}
	if initialized != nil {
		if err := b.postLegacy(ctx, initialized, l); err != nil {
			return err
		}
	}
	b.setAgain(ctx, settings, func(ctx context.Context, c *call) error { return b.repeatLegacy(ctx, l, c) })
	return nil
}

// repeatLegacy sends a request of the host's again, whose response the host does not see.
func (b *bridge) repeatLegacy(ctx context.Context, l *legacy, c *call) error {
	b.mu.Lock()
	b.silent = c
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.silent = nil
		b.mu.Unlock()
	}()
	if err := b.postLegacy(ctx, c.message, l); err != nil {
		return err
	}
	return c.wait(ctx, l)
}

// wait waits for the response, which comes on the stream.
func (c *call) wait(ctx context.Context, l *legacy) error {
	select {
	case <-c.answered:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.ended:
		if c.isAnswered() {
			return nil
		}
		return failure(codeInterrupted, "the server's stream ended before the response")
	}
}

// postLegacy sends a message, and returns nil once the server has accepted it.
func (b *bridge) postLegacy(ctx context.Context, m *message, l *legacy) error {
	return b.postLegacyAs(ctx, l, b.post(m, nil, ""))
}

func (b *bridge) postLegacyAs(ctx context.Context, l *legacy, r *httpRequest) error {
	r.url = l.endpoint
	resp, err := b.exchange(ctx, r)
	if err != nil {
		return err
	}
	defer discard(resp)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	return b.statusError(resp)
}

// legacyRequest sends a request of the host's, and waits until its response has come on the stream.
func (b *bridge) legacyRequest(ctx context.Context, c *call, t *turn, l *legacy) error {
	l, err := b.alive(ctx, l)
	if err != nil {
		return err
	}
	r := b.post(c.message, nil, "")
	r.wrote = func() {
		c.delivered.Store(true)
		if !t.initialize {
			t.pass()
		}
	}
	r.refused = func() { c.delivered.Store(false) }
	if err := b.postLegacyAs(ctx, l, r); err != nil {
		return err
	}
	b.accepted(c)
	return c.wait(ctx, l)
}

// legacyDeliver sends a notification or a response of the host's.
func (b *bridge) legacyDeliver(ctx context.Context, m *message, l *legacy) error {
	l, err := b.alive(ctx, l)
	if err != nil {
		return err
	}
	if err := b.postLegacy(ctx, m, l); err != nil {
		return err
	}
	if m.method == "notifications/initialized" {
		b.mu.Lock()
		b.initialized = m
		b.mu.Unlock()
	}
	return nil
}

// alive returns the stream, or a new one if it has ended.
func (b *bridge) alive(ctx context.Context, l *legacy) (*legacy, error) {
	if !l.isOver() {
		return l, nil
	}
	b.log("the server's stream ended: opening it again")
	if err := b.openLegacy(ctx); err != nil {
		if e := new(rpcError); errors.As(err, &e) || ctx.Err() != nil {
			return nil, err
		}
		return nil, failure(codeSession, "%s ended its stream: %s", b.host(), words.Printable(err.Error()))
	}
	_, l = b.current()
	return l, nil
}
