package mcp

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// A call is a request of the host's that has no response yet.
type call struct {
	*message
	version   string // the protocol version of a modern request; "" for one of 2025-11-25 and before
	size      int    // the part of bridge.bytes that it has
	silent    bool   // it is the bridge's own: the host must not see the response
	cancel    context.CancelCauseFunc
	delivered atomic.Bool // the server may have begun to work on it

	sessionID string         // of the response to initialize
	take      func(*message) // is called with the response, before the host gets it
	answered  chan struct{}  // closed when the response is there, or the host wants none any more
	claimed   bool           // the same; under bridge.mu
	relearned bool           // the server refused the header fields once
}

// The limits of what is under way at once. A host that doesn't read or a server that doesn't reply can't use up the
// memory.
const (
	mostCalls         = 1024
	mostBytes         = 8 * maxMessage // of requests that the server has not accepted
	mostNotifications = 256
	deliverLimit      = 5 * time.Minute // for a notification; a person may be logging in meanwhile
)

var (
	errCancelled = errors.New("the host cancelled the request")
	errAnswered  = errors.New("the response came in another way")
)

// receive takes a line of the host's. ctx ends when no more is received, work when what is under way is given up.
func (b *bridge) receive(ctx, work context.Context, l line) {
	if l.tooLong {
		b.receiveTooLong(ctx, work, &l.seen)
		return
	}
	all, wrong := parseLine(l.text)
	for _, err := range wrong {
		_ = b.out.write(ctx, errorResponse(nil, err))
	}
	for _, m := range all {
		switch {
		case m.kind == request:
			b.receiveRequest(ctx, work, m)
		case m.method == "notifications/cancelled":
			b.receiveCancelled(ctx, work, m)
		default:
			b.forward(ctx, work, m, nil)
		}
	}
}

// receiveTooLong tells the one who waits for it that a message is too long.
func (b *bridge) receiveTooLong(ctx, work context.Context, seen *glance) {
	err := failure(codeTooLong, "the message is longer than %d MiB", maxMessage>>20)
	b.log("%v", err)
	id := seen.id
	if idKey(id) == "" {
		id = nil
	}
	switch {
	case id != nil && !seen.method: // the server waits for this response
		raw := errorResponse(id, err)
		b.forward(ctx, work, &message{raw: raw, kind: response, id: id}, nil)
	case id != nil || !seen.method || seen.array:
		_ = b.out.write(ctx, errorResponse(id, err))
	}
}

func (b *bridge) receiveRequest(ctx, work context.Context, m *message) {
	requestCtx, cancel := context.WithCancelCause(work)
	c := &call{message: m, size: len(m.raw), cancel: cancel, answered: make(chan struct{})}
	if c.version = modernVersion(m); c.version == "" {
		m.fields = nil // a copy of the message
	}
	if err := b.register(c); err != nil {
		cancel(err)
		_ = b.out.write(ctx, errorResponse(m.id, err))
		return
	}
	var t *turn
	if m.method == "initialize" {
		t = b.queue.ordered()
		t.initialize = true
		c.take = func(response *message) { b.begun(c, response) }
	} else {
		t = b.queue.request()
	}
	switch {
	case m.method == "tools/list" && c.version != "":
		c.take = func(response *message) { b.learn(response) }
	case c.version == "" && isSetting(m):
		setting := *m // of m the body is let go
		c.take = func(response *message) { b.set(&setting, response) }
	}
	b.work.Go(func() {
		defer cancel(errAnswered)
		defer t.pass()
		t.wait(requestCtx)
		err := context.Cause(requestCtx)
		if err == nil {
			err = b.request(requestCtx, c, t)
		}
		b.finish(requestCtx, c, err)
	})
}

// register takes a request into the list of those without a response.
func (b *bridge) register(c *call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.calls[c.key] != nil:
		return failure(codeInvalid, "another request with this ID has no response yet")
	case len(b.calls) >= mostCalls || b.bytes+c.size > mostBytes:
		return failure(codeTooMany, "too many requests at once")
	}
	b.calls[c.key] = c
	b.bytes += c.size
	return nil
}

// accepted is called when the server has the whole request, so that it need not be kept.
func (b *bridge) accepted(c *call) {
	b.mu.Lock()
	b.bytes -= c.size
	c.size = 0
	b.mu.Unlock()
	if c.method != "initialize" {
		c.raw, c.fields = nil, nil
	}
}

// claim returns the request that a response belongs to, once: a request has one response. nil: there is none. from is
// the request whose response it is in.
func (b *bridge) claim(key string, from *call) *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.calls[key]
	switch {
	case from != nil && from.silent && from.key == key:
		c = from
	case b.silent != nil && b.silent.key == key:
		c = b.silent
	}
	if !b.settle(c) {
		return nil
	}
	return c
}

// settle marks a request as one that waits for no response any more. It reports whether it did before.
func (b *bridge) settle(c *call) bool {
	if c == nil || c.claimed {
		return false
	}
	c.claimed = true
	if b.calls[c.key] == c {
		delete(b.calls, c.key)
	}
	b.bytes -= c.size
	c.size = 0
	close(c.answered)
	return true
}

// own returns a request of the bridge's own, whose response the host does not see.
func (b *bridge) own(m *message, take func(*message)) *call {
	return &call{
		message: m, silent: true, take: take, answered: make(chan struct{}), cancel: func(error) {},
	}
}

// isAnswered reports whether the host waits for no response to this request.
func (c *call) isAnswered() bool {
	select {
	case <-c.answered:
		return true
	default:
		return false
	}
}

// finish tells the host why there is no response, if there is none.
func (b *bridge) finish(ctx context.Context, c *call, err error) {
	b.mu.Lock()
	waits := b.settle(c)
	b.mu.Unlock()
	if !waits || errors.Is(context.Cause(ctx), errCancelled) {
		return
	}
	if err == nil {
		err = failure(codeInterrupted, "%s sent no response", b.host())
	}
	if errors.Is(err, errEnded) {
		err = failure(codeInterrupted, "%w before the response", errEnded)
	}
	_ = b.out.write(context.WithoutCancel(ctx), errorResponse(c.id, err)) // it ends with the writer
}

// pass passes what the server sent on to the host. from is the request whose response it is in; nil: a stream for all.
func (b *bridge) pass(ctx context.Context, m *message, from *call) error {
	if m.kind != response || m.key == "" {
		return b.out.write(ctx, m.raw)
	}
	c := b.claim(m.key, from)
	if c == nil {
		b.log("dropped a response to a request that is not under way")
		return nil
	}
	if c.take != nil {
		c.take(m)
	}
	if c != from {
		defer c.cancel(errAnswered)
	}
	if c.silent {
		return nil
	}
	return b.out.write(context.WithoutCancel(ctx), m.raw) // claimed, so there is no other response
}

// receiveCancelled cancels a request. A modern server learns it from the end of the connection, an older one from the
// notification (2026-07-28, patterns/cancellation).
func (b *bridge) receiveCancelled(ctx, work context.Context, m *message) {
	key := idKey(member(m.fields["params"], "requestId"))
	b.mu.Lock()
	c, older := b.calls[key], b.session != nil || b.legacy != nil
	b.mu.Unlock()
	switch {
	case c == nil && !older:
	case c == nil:
		b.forward(ctx, work, m, nil)
	case c.version != "", !c.delivered.Load(), c.method == "initialize":
		c.cancel(errCancelled)
	default:
		b.forward(ctx, work, m, func() { c.cancel(errCancelled) })
	}
}

// forward sends a notification or a response. then, if not nil, is called when that is done, or can't be.
func (b *bridge) forward(ctx, work context.Context, m *message, then func()) {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	t := b.queue.ordered()
	b.work.Go(func() {
		defer func() { <-b.slots }()
		defer t.pass()
		if then != nil {
			defer then()
		}
		ctx, cancel := context.WithTimeout(work, deliverLimit)
		defer cancel()
		t.wait(ctx)
		if err := b.deliver(ctx, m); err != nil && work.Err() == nil {
			what := m.method
			if m.kind == response {
				what = "a response"
			}
			b.log("%s was not delivered: %v", what, err)
		}
	})
}

// deliver sends a notification or a response, and waits until the server has accepted it.
func (b *bridge) deliver(ctx context.Context, m *message) error {
	for again := false; ; again = true {
		s, l := b.current()
		if l != nil {
			return b.legacyDeliver(ctx, m, l)
		}
		resp, err := b.exchange(ctx, b.post(m, s, modernVersion(m)))
		if err != nil {
			return err
		}
		switch lost := resp.StatusCode == http.StatusNotFound && s.hasID(); {
		case resp.StatusCode >= 200 && resp.StatusCode < 300:
			discard(resp)
			b.heard()
			b.listenAgain(ctx, s)
			if m.method == "notifications/initialized" && s != nil {
				b.mu.Lock()
				b.initialized = m
				b.mu.Unlock()
				b.listen(ctx, s)
			}
			return nil
		case lost && !again && m.kind == notification:
			discard(resp)
			if err := b.renew(ctx, s); err != nil {
				return err
			}
		default:
			defer discard(resp)
			return b.statusError(resp)
		}
	}
}
