package login

import (
	"context"
	"errors"
	"time"

	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/provider"
)

// A Pending is one caller's part in a login that waits. Several terminals can have a part in the same one.
type Pending struct {
	URL        string // to open in the browser
	ReturnTo   string
	CLI, Guest bool
	Shared     bool // another terminal had opened URL before

	flow    *Flow
	login   *login
	dropped bool // guarded by the flow's lock
}

func (l *login) part(f *Flow, shared bool) *Pending {
	return &Pending{URL: l.url, ReturnTo: l.returnTo, CLI: l.cli, Guest: l.guest, Shared: shared, flow: f, login: l}
}

// Wanted returns what the login asks for.
func (p *Pending) Wanted() Wanted { return p.login.wanted }

// Drop ends one part in a login. A login in which nobody has a part any more is forgotten, and its response refused.
func (f *Flow) Drop(p *Pending) { f.drop(p) }

// drop returns what ends the work on the login's response, if there is such work and nobody else waits for it.
func (f *Flow) drop(p *Pending) (abort context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := p.login
	if p.dropped {
		return nil
	}
	p.dropped = true
	if l.waiters--; l.waiters > 0 {
		return nil
	}
	if l.abort == nil {
		delete(f.waiting, l.state)
	}
	return l.abort
}

// Wait returns what came of the login. If ctx ends first the login is dropped, and the error is ctx's cause. A response
// that came in time is still worked on: to its end after ErrTimeout, for granted.Grace after any other cause. What the
// provider has granted by then is stored, and returned.
func (p *Pending) Wait(ctx context.Context) (*provider.Tokens, error) {
	l := p.login
	select {
	case <-l.done:
		return l.tokens, l.err
	case <-ctx.Done():
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrTimeout) {
		cause = p.flow.seen.Timeout(l.began)
	}
	abort := p.flow.drop(p)
	if abort == nil { // no response has come, or others wait for what comes of it
		select {
		case <-l.done:
			return l.tokens, l.err
		default:
			return nil, cause
		}
	}
	limit := granted.Grace
	if errors.Is(cause, ErrTimeout) {
		limit = exchangeLimit
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.done:
		return l.tokens, l.err
	case <-timer.C:
	}
	abort()
	<-l.done // soon, unless a grant is being stored
	if !l.granted {
		return nil, cause
	}
	return l.tokens, l.err
}

// Done is closed when it is known what came of the login.
func (p *Pending) Done() <-chan struct{} { return p.login.done }

// Fetched is closed when the browser has fetched the page that says how the login went.
func (p *Pending) Fetched() <-chan struct{} { return p.login.fetched }
