package mcp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
)

var (
	// errSessionLost says that the server does not know the session any more.
	errSessionLost = errors.New("the server does not know the session any more")
	// errHeaderMismatch says that a modern server wants other header fields for this tool.
	errHeaderMismatch = errors.New("the server wants other header fields")
)

// A notStreamable is a refusal without a JSON-RPC error, by a server that has not replied to anything else.
type notStreamable struct{ error }

// request sends a request, and passes on all that comes in response.
func (b *bridge) request(ctx context.Context, c *call, t *turn) error {
	for lost := false; ; {
		s, l := b.current()
		if l != nil {
			return b.legacyRequest(ctx, c, t, l)
		}
		if c.version != "" || c.method == "initialize" {
			s = nil
		}
		r := b.post(c.message, s, c.version)
		r.wrote = func() {
			c.delivered.Store(true)
			if !t.initialize {
				t.pass()
			}
		}
		r.refused = func() { c.delivered.Store(false) }
		resp, err := b.exchange(ctx, r) //nolint:bodyclose // respond closes it
		if err != nil {
			return err
		}
		err = b.respond(ctx, c, s, resp)
		var not notStreamable
		switch {
		case errors.Is(err, errSessionLost) && !lost:
			lost = true
			c.delivered.Store(false)
			if err := b.renew(ctx, s); err != nil {
				return err
			}
		case errors.Is(err, errHeaderMismatch):
			if err := b.learnTools(ctx, c); err != nil {
				return err
			}
		case errors.As(err, &not):
			c.delivered.Store(false)
			if err := b.openLegacy(ctx); err != nil {
				b.log("no HTTP with SSE either: %v", err)
				return not.error
			}
		default:
			return err
		}
	}
}

// post returns the request that carries a message.
func (b *bridge) post(m *message, s *session, version string) *httpRequest {
	header := s.header(version)
	header["Content-Type"] = []string{"application/json"}
	header["Accept"] = []string{"application/json, text/event-stream"}
	if version != "" {
		b.modernHeader(header, m)
	}
	return &httpRequest{method: http.MethodPost, url: b.url, body: m.raw, header: header}
}

// mostErrorBody is how much of a refusal is read.
const mostErrorBody = 1 << 20

// respond passes on what is in the response to a request. It closes the response.
func (b *bridge) respond(ctx context.Context, c *call, s *session, resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		b.heard()
		b.accepted(c)
		b.listenAgain(ctx, s)
		if c.method == "initialize" {
			c.sessionID = resp.Header.Get("Mcp-Session-Id")
		}
		switch mediaType(resp) {
		case "text/event-stream":
			return b.stream(ctx, c, s, resp)
		case "application/json":
			defer discard(resp)
			body, err := readBody(resp, maxMessage)
			if err != nil {
				return err
			}
			return b.passAll(ctx, body, c)
		}
		defer discard(resp)
		return failure(codeUnreadable, "%s replied with HTTP %d and neither JSON nor events", b.host(), resp.StatusCode)
	}
	defer discard(resp)
	refused := b.statusError(resp)
	if wantsToken(resp.StatusCode, resp.Header.Values("WWW-Authenticate")) {
		return refused
	}
	body, _ := readBody(resp, mostErrorBody) // without it, the status says enough
	m, _ := parseMessage(body)
	if m != nil && (m.kind != response || !isError(m.fields["error"])) {
		m = nil
	}
	switch {
	case resp.StatusCode == http.StatusNotFound && s.hasID() && (m == nil || m.errorCode() != codeNoMethod):
		return errSessionLost
	case m != nil && m.errorCode() == codeMismatch && c.version != "" && c.method == "tools/call" && !c.relearned:
		c.relearned = true
		b.heard()
		return errHeaderMismatch
	case m != nil:
		b.heard()
		return b.passAll(ctx, errorWith(c.id, m.fields["error"]), c) // the error may come without our ID
	case resp.StatusCode == 400 || resp.StatusCode == 404 || resp.StatusCode == 405:
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.transport == unknown {
			return notStreamable{refused}
		}
	}
	return refused
}

const (
	codeNoMethod = -32601 // JSON-RPC: no such method. Modern servers send it with status 404
	codeMismatch = -32020 // MCP 2026-07-28: the header fields are not those of the body
)

// passAll passes on a body or an event.
func (b *bridge) passAll(ctx context.Context, text []byte, from *call) error {
	all, wrong := parseLine(text)
	for _, m := range all {
		if err := b.pass(ctx, m, from); err != nil {
			return err
		}
	}
	switch {
	case len(wrong) == 0 || from != nil && from.isAnswered():
		return nil
	case from == nil:
		b.log("dropped what is no message: %v", wrong[0])
		return nil
	}
	return failure(codeUnreadable, "%s sent a response that can't be read: %v", b.host(), wrong[0])
}

// How a stream is taken up again that ended before its time.
const (
	firstPause      = time.Second // where the server does not say how long
	shortestPause   = 50 * time.Millisecond
	longestPause    = time.Minute
	mostResumptions = 5 // in a row, without an event
	linger          = time.Second
)

// pauseBefore returns how long to wait before attempt number n (from 0) without progress, as the server asked (retry)
// or by itself, longer with each.
func pauseBefore(n int, retry time.Duration) time.Duration {
	pause := retry
	if pause == 0 {
		pause = firstPause
	}
	for range min(n, 16) {
		pause = min(max(pause*2, shortestPause), max(longestPause, retry))
	}
	return min(pause, 10*longestPause)
}

// stream passes on the events of a response. Where the connection ends before the response, and the events have IDs, it
// goes on after the last one (2025-03-26 to 2025-11-25; modern streams can't be resumed).
func (b *bridge) stream(ctx context.Context, c *call, s *session, resp *http.Response) error {
	events := newEventReader(resp.Body, maxMessage)
	for attempts := 0; ; {
		progress, err := b.events(ctx, c, events, resp)
		switch {
		case c.isAnswered():
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case c.version != "" || events.lastID == "":
			return failure(codeInterrupted, "the connection to %s ended before the response", b.host())
		}
		for {
			if progress {
				attempts, progress = 0, false
			}
			if attempts == mostResumptions {
				return failure(codeInterrupted, "the connection to %s ended before the response, and could not be resumed",
					b.host())
			}
			if err := clock.Pause(ctx, pauseBefore(attempts, events.retry)); err != nil {
				return err
			}
			attempts++
			resp, err = b.exchange(ctx, b.get(s, events.lastID))
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return err
			}
		}
		if resp.StatusCode < 200 || resp.StatusCode > 299 || mediaType(resp) != "text/event-stream" {
			defer discard(resp)
			return failure(codeInterrupted, "the connection to %s ended before the response, and can't be resumed (HTTP %d)",
				b.host(), resp.StatusCode)
		}
		events = events.resume(resp.Body)
	}
}

// get returns the request for a stream of events, from the event with lastID on.
func (b *bridge) get(s *session, lastID string) *httpRequest {
	header := s.header("")
	header["Accept"] = []string{"text/event-stream"}
	if lastID != "" {
		header["Last-Event-Id"] = []string{lastID}
	}
	return &httpRequest{method: http.MethodGet, url: b.url, header: header}
}

// events passes on the events of a connection until it ends, and closes it. It reports whether there was any with an
// ID. c is the request that the events are a response to; nil: a stream for all. A server should end the stream after
// the response; it has a second for that.
func (b *bridge) events(ctx context.Context, c *call, events *eventReader, resp *http.Response) (bool, error) {
	defer resp.Body.Close()
	before := events.lastID
	for {
		ev, err := events.next()
		if err != nil {
			return events.lastID != before, nil //nolint:nilerr // the connection ended, as each does
		}
		if len(ev.data) == 0 && !ev.tooLong || ev.name != "" && ev.name != "message" {
			continue
		}
		if ev.tooLong {
			err := failure(codeTooLong, "%s sent an event longer than %d MiB", b.host(), maxMessage>>20)
			if c != nil && !c.isAnswered() {
				return false, err
			}
			b.log("%v", err)
			continue
		}
		was := c != nil && c.isAnswered()
		if err := b.passAll(ctx, ev.data, c); err != nil {
			return false, err
		}
		if c != nil && !was && c.isAnswered() {
			defer time.AfterFunc(linger, func() { _ = resp.Body.Close() }).Stop()
		}
	}
}
